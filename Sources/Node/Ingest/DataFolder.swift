import Crypto
import DICOMCore
import Foundation
import NodeStore
import Synchronization

/// The folder that holds all a node keeps: `node.sqlite`, `intake.journal` and `incoming/` (what has no row yet), `instances/SERIES/SOP.dcm`,
/// `results/JOB/`, `rejected/JOB/` (objects that must not be sent), and `unrecorded/` (files without a row; nothing is ever deleted that may be the only copy; `unrecorded.jsonl` lists those that were acknowledged).
public struct DataFolder: Sendable {
    public let root: URL

    public init(_ root: URL) { self.root = root }

    var incoming: URL { root.appending(path: "incoming") }
    /// What was acknowledged and has no row yet: an `IntakeJournal`.
    var journal: URL { root.appending(path: "intake.journal") }
    var instances: URL { root.appending(path: "instances") }
    var results: URL { root.appending(path: "results") }
    /// Objects that the node's own check refused, a folder a job: for a person to look at, and to delete.
    var rejected: URL { root.appending(path: "rejected") }
    var unrecorded: URL { root.appending(path: "unrecorded") }

    /// Makes the folders, and room for the journal.
    func prepare() throws {
        for folder in [incoming, instances, results] {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try IntakeJournal.prepare(in: self)
        try makeDurable(root)
        try identify()
    }

    // MARK: Receiving

    /// A place for a file that is being received.
    func newIncomingFile() -> String { "\(root.path)/incoming/\(UUID().uuidString).part" }

    /// Moves a complete file to its final place; returns that, relative to the root, and the folders to flush.
    ///
    /// An older file of that name stays: the new one then carries the start of its digest. A file that has this name too holds
    /// the same data set, and is taken over.
    func place(_ path: String, series: String, sop: String, digest: String) throws -> (path: String, folders: [String]) {
        let parent = "\(root.path)/instances", folder = "\(parent)/\(series)"
        var name = "\(sop).dcm"
        if try addName(name, in: folder, to: path) {
            unlink(path)
        } else {
            name = "\(sop).\(digest.prefix(16)).dcm"
            guard rename(path, "\(folder)/\(name)") == 0 else { throw NodeError(.dataFolder, "Instance \(sop) cannot be put in \(folder): \(systemReason()).") }
        }
        // The parent too: another thread may have made the folder, and not flushed that yet.
        return ("instances/\(series)/\(name)", [folder, parent])
    }

    /// Gives a file a second name, making its folder where that is missing; false where the name is taken, or the file is not there.
    func addName(_ name: String, in folder: String, to path: String) throws -> Bool {
        // Not by URLs: this is done for every instance.
        if link(path, "\(folder)/\(name)") == 0 { return true }
        if errno == ENOENT, access(path, F_OK) == 0 {
            guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw NodeError(.dataFolder, "Folder \(folder) cannot be made: \(systemReason()).") }
            if link(path, "\(folder)/\(name)") == 0 { return true }
        }
        guard errno == EEXIST || errno == ENOENT else { throw NodeError(.dataFolder, "\(name) cannot be put in \(folder): \(systemReason()).") }
        return false
    }

    /// What is free on the folder's disk for a program without privileges.
    func freeSpace() throws -> (bytes: Int64, percent: Double) {
        var status = statvfs()
        guard statvfs(root.path, &status) == 0 else { throw NodeError(.dataFolder, "The disk of \(root.path) cannot be asked: \(systemReason()).") }
        let free = Int64(status.f_bavail) * Int64(status.f_frsize)
        return (free, status.f_blocks == 0 ? 0 : 100 * Double(status.f_bavail) / Double(status.f_blocks))
    }

    // MARK: Starting

    /// Removes what was being received, made or deleted when the node stopped: none of it was acknowledged. Returns how many; an empty file is none, nor a second name.
    func removeHalfFiles() throws -> Int {
        func content(of folder: URL) throws -> [URL] { try names(in: folder).map { folder.appending(path: $0) } }
        let half = try content(of: incoming) + [results, rejected].flatMap(content).filter { $0.pathExtension == "part" }
        var count = 0
        for file in half {
            var status = stat()
            if lstat(file.path, &status) == 0, status.st_size > 0, status.st_mode & S_IFMT == S_IFDIR || status.st_nlink == 1 { count += 1 }
            do { try FileManager.default.removeItem(at: file) } catch { throw NodeError(.dataFolder, "\(file.path) cannot be removed: \(error)") }
        }
        return count
    }

    /// All files of instances, results and rejected objects, relative to the root; what lies deeper or is no folder where one should be counts as a file.
    func files() throws -> Set<String> {
        var files: Set<String> = []
        for (name, place) in [("instances", instances), ("results", results), ("rejected", rejected)] {
            for folder in try names(in: place) {
                let path = place.appending(path: folder)
                var status = stat()
                guard stat(path.path, &status) == 0 || [ENOENT, ELOOP].contains(errno) else {
                    throw NodeError(.dataFolder, "\(path.path) cannot be looked at: \(systemReason()).")
                }
                if status.st_mode & S_IFMT == S_IFDIR {
                    for file in try names(in: path) { files.insert("\(name)/\(folder)/\(file)") }
                } else {
                    files.insert("\(name)/\(folder)")
                }
            }
        }
        return files
    }

    /// The names in a folder; none where it is not there. Throws `dataFolder` where the disk does not give all: what is not listed counts as gone.
    private func names(in folder: URL) throws -> [String] {
        // Not by FileManager, to which a list that breaks off is one that ends.
        func unlisted() -> NodeError { NodeError(.dataFolder, "\(folder.path) cannot be listed: \(systemReason()).") }
        guard let directory = opendir(folder.path) else {
            guard errno == ENOENT else { throw unlisted() }
            return []
        }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else {
                guard errno == 0 else { throw unlisted() }
                return names
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(cString: $0.assumingMemoryBound(to: CChar.self).baseAddress!) }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    /// All instance files, relative to the root.
    func instanceFiles() throws -> Set<String> { try files().filter { $0.hasPrefix("instances/") } }

    /// Puts a file that no row names aside; returns where it is now, relative to the root. None that is there already is replaced.
    func setAside(_ path: String) throws -> String {
        let place = placeAside(path)
        try setAside(path, at: place)
        return place
    }

    func setAside(_ path: String, at place: String) throws {
        let target = root.appending(path: place)
        try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        guard rename(root.appending(path: path).path, target.path) == 0 else {
            throw NodeError(.dataFolder, "\(path) cannot be put aside: \(systemReason()).")
        }
    }

    /// Where a file may be put aside without replacing another, relative to the root.
    func placeAside(_ path: String) -> String {
        var name = path, number = 1
        while FileManager.default.fileExists(atPath: unrecorded.appending(path: name).path) {
            number += 1
            name = "\(path).\(number)"
        }
        return "unrecorded/\(name)"
    }

    /// Removes the folders of series that hold nothing any more. Only while nothing is received: a folder is made once, then filled.
    func removeEmptyFolders() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: instances.path) { rmdir(instances.appending(path: name).path) }
    }
}

/// Holds a data folder for one node; the system lets go of it when the process ends, however it ends.
final class DataFolderLock: Sendable {
    private let descriptor: Int32

    /// Throws `locked` when another process holds it.
    init(_ folder: DataFolder) throws {
        let path = folder.root.appending(path: "lock").path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw NodeError(.dataFolder, "\(path) cannot be opened: \(systemReason()).") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            close(descriptor)
            throw reason == EWOULDBLOCK
                ? NodeError(.locked, "Another node works on \(folder.root.path).")
                : NodeError(.dataFolder, "\(path) cannot be locked: \(String(cString: strerror(reason))).")
        }
    }

    deinit { close(descriptor) }
}

/// SHA-256 of the data set of a Part 10 file (PS3.10 7.1), in hexadecimal: all that follows the file meta information, which
/// names the sender and so differs where the object does not.
func dataSetDigest(ofFile path: String) throws -> String {
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { try? file.close() }
    // 128 bytes of preamble, "DICM", then (0002,0000) UL 4 with the length of what follows it.
    let start = [UInt8](try file.read(upToCount: 144) ?? Data())
    guard start.count == 144, start[132..<140].elementsEqual([2, 0, 0, 0, 0x55, 0x4C, 4, 0]) else {
        throw NodeError(.unreadable, "The file has no file meta information.")
    }
    let length = start[140..<144].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    try file.seek(toOffset: 144 + length)
    var hash = SHA256()
    while let chunk = try file.read(upToCount: 1 << 20), !chunk.isEmpty { hash.update(data: chunk) }
    return hexadecimal(hash.finalize())
}

/// Tells patients apart without keeping who they are: the text of a `PatientIdentity`.
func patientDigest(of dataSet: DataSet) -> String { PatientDigests().digest(of: dataSet) }

/// Tells patients apart without keeping who they are, beyond the last, of whom the next instance probably is too.
final class PatientDigests: Sendable {
    private let last = Mutex<(values: [String?], digest: String)?>(nil)

    /// The text of a `PatientIdentity`.
    func digest(of dataSet: DataSet) -> String {
        let values = [Tag.patientID, .patientName, .patientBirthDate, .issuerOfPatientID].map(dataSet.string)
        if let last = last.withLock({ $0 }), last.values == values { return last.digest }
        let digest = patientDigest(patientID: values[0], name: values[1], birthDate: values[2], issuer: values[3])
        last.withLock { $0 = (values, digest) }
        return digest
    }
}

private func patientDigest(patientID: String?, name: String?, birthDate: String?, issuer: String?) -> String {
    let name = normalizedName(name ?? "")
    func digest(_ text: String?) -> String? {
        guard let text, !text.isEmpty else { return nil }
        return String(hexadecimal(SHA256.hash(data: Data(text.precomposedStringWithCanonicalMapping.utf8))).prefix(32))
    }
    // The formula of the first schema: a series that it began goes on.
    let whole = [patientID ?? "", name, birthDate ?? ""].joined(separator: "\0")
    // One device sends the ideographic and phonetic groups of a name (PS3.5 6.2.1.2), another the alphabetic one alone.
    let alphabetic = String(name.prefix { $0 != "=" })
    return PatientIdentity(
        whole: hexadecimal(SHA256.hash(data: Data(whole.utf8))), patientID: digest(patientID),
        issuer: digest(issuer?.uppercased()), name: digest(alphabetic.isEmpty ? name : alphabetic),
        birthDate: digest(birthDate)
    ).rawValue
}

/// A name without what means nothing in it: case and empty trailing components (PS3.5 6.2.1).
private func normalizedName(_ name: String) -> String {
    name.uppercased().split(separator: "^", omittingEmptySubsequences: false)
        .map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "^").trimmingCharacters(in: CharacterSet(charactersIn: "^"))
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
