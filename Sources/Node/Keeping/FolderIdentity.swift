import Foundation
import NodeStore

/// Tells a data folder from an empty mount point, a fresh folder or another node's: a number of its own in its file `identity`,
/// and beside the folder a note of it, so that a folder that is gone is missed.
extension DataFolder {
    private var identityFile: URL { root.appending(path: "identity") }
    private var database: URL { root.appending(path: "node.sqlite") }
    /// Where the identity of the folder that was here is noted, outside the folder.
    var note: URL { root.deletingLastPathComponent().appending(path: ".\(root.lastPathComponent).identity") }

    /// The folder's number; nil when it has none. Throws `dataFolder` where the disk does not give it: such a folder must not get another.
    func identity() throws -> String? { try Self.number(in: identityFile) }

    private static func number(in file: URL) throws -> String? {
        do {
            return try String(contentsOf: file, encoding: .utf8).split(whereSeparator: \.isWhitespace).first.map(String.init)
        } catch CocoaError.fileReadNoSuchFile { return nil } catch { throw NodeError(.dataFolder, "\(file.path) cannot be read: \(error)") }
    }

    /// Makes sure that this is the folder the node is to work in, before anything is written to it; makes it, unless only `trying`,
    /// when it never was there and `creating` allows. Returns whether it is there.
    ///
    /// Throws `dataFolder` with what is wrong and what to do.
    @discardableResult
    func claim(creating: Bool, trying: Bool = false) throws -> Bool {
        let noted = try Self.number(in: note)
        let remedy = "bring it back (is its disk mounted?), or remove \(note.path) to begin anew with an empty folder"
        var status = stat()
        if stat(root.path, &status) != 0 {
            guard errno == ENOENT else { throw NodeError(.dataFolder, "The data folder \(root.path) cannot be used: \(systemReason()).") }
            guard noted == nil else {
                throw NodeError(.dataFolder, "The data folder \(root.path) is gone, although a node has run in it: \(remedy).")
            }
            guard creating else {
                throw NodeError(.dataFolder, "The data folder \(root.path) is not there, and createDataDirectory does not allow to make it.")
            }
            if trying { return false }
            do { try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true) } catch {
                throw NodeError(.dataFolder, "The data folder \(root.path) cannot be made: \(error)")
            }
            return true
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw NodeError(.dataFolder, "\(root.path) is no folder; dataDirectory must name one.") }
        let hasDatabase = stat(database.path, &status) == 0 && status.st_size > 0
        switch (try identity(), noted) {
        case (nil, .some):
            throw NodeError(.dataFolder, "\(root.path) is not the data folder that a node has run in here: \(remedy).")
        case (let own?, let noted?) where own != noted:
            throw NodeError(
                .dataFolder,
                "\(root.path) is another data folder than the one a node last ran in here. If that is meant, remove \(note.path).")
        case (nil, nil) where !hasDatabase && !creating:
            throw NodeError(.dataFolder, "\(root.path) holds no node's data, and createDataDirectory does not allow to begin anew.")
        case (.some, _) where !hasDatabase:
            throw NodeError(
                .dataFolder,
                "The database \(database.path) is gone or empty. Put a copy back; docs/how-to/recover.md says how to go on without one.")
        default: return true
        }
    }

    /// Makes sure that the folder can be written to.
    func probe() throws {
        try FileManager.default.createDirectory(at: incoming, withIntermediateDirectories: true)
        let path = incoming.appending(path: "probe.part").path
        let descriptor = creat(path, 0o600)
        defer {
            if descriptor >= 0 { close(descriptor) }
            unlink(path)
        }
        let block = [UInt8](repeating: 0, count: 4096)
        guard descriptor >= 0, write(descriptor, block, block.count) == block.count, fsync(descriptor) == 0 else {
            throw NodeError(.dataFolder, "The data folder \(root.path) cannot be written to: \(systemReason()).")
        }
    }

    /// Gives the folder its number when it has none, once all else in it is made; it is durable on return.
    func identify() throws {
        let own = try identity(), number = own ?? UUID().uuidString
        if own == nil {
            try Data((number + "\n").utf8).write(to: identityFile, options: .atomic)
            try makeDurable(identityFile)
            try makeDurable(root)
        }
        if try Self.number(in: note) != number {
            // Where the node may not write beside its folder there is no note, and a folder that is gone is not missed.
            try? Data("\(number)\nThe data folder of medlsam-node that belongs here.\n".utf8).write(to: note, options: .atomic)
        }
    }
}
