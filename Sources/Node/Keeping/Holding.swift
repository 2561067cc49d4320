import Foundation
import NodeStore

/// What a file is beside its row.
public enum FileCondition: String, Sendable, Codable {
    case intact, missing
    /// A folder, a symbolic link or a device lies where the file should.
    case notAFile
    case wrongSize, wrongContent
    /// The disk does not give it.
    case unreadable
}

/// Whether the node holds an instance.
enum Holding: Sendable, Equatable {
    /// On disk, with the content that was received.
    case held
    /// Never received, or its file was deleted or lost since.
    case notHeld
    /// Held as an instance of another SOP class.
    case otherClass
    /// Recorded, but the file is not as it was received.
    case damaged(FileCondition)
}

extension DataFolder {
    /// Reads an instance's file whole and holds it against its row; blocks.
    func condition(of instance: StoredInstance) -> FileCondition { condition(of: instance.path, size: instance.size, digest: instance.digest) }

    /// The same of any Part 10 file of which size and SHA-256 of the data set are known.
    func condition(of path: String, size: Int?, digest: String) -> FileCondition {
        let path = root.appending(path: path).path
        var status = stat()
        guard lstat(path, &status) == 0 else { return errno == ENOENT || errno == ENOTDIR ? .missing : .unreadable }
        guard status.st_mode & S_IFMT == S_IFREG else { return .notAFile }
        if let size, status.st_size != size { return .wrongSize }
        do {
            return try dataSetDigest(ofFile: path) == digest ? .intact : .wrongContent
        } catch { return error is NodeError ? .wrongContent : .unreadable }
    }

    /// Whether an instance is held, by a look at its file: what storage commitment promises. Blocks while it reads.
    ///
    /// Of several contents of one UID the current one is asked for; an earlier one does where that is not intact.
    func holding(of sopInstanceUID: String, class sopClassUID: String, in store: Store) throws -> Holding {
        let all = try store.instances(withSOPInstanceUID: sopInstanceUID).filter { $0.state != .missing }
        let versions = all.filter { $0.sopClassUID == sopClassUID }
        guard !versions.isEmpty else { return all.isEmpty ? .notHeld : .otherClass }
        var first: FileCondition?
        for version in versions {
            let found = condition(of: version)
            if found == .intact { return .held }
            first = first ?? found
        }
        return first == .missing ? .notHeld : .damaged(first!)
    }
}
