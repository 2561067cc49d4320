import Foundation
import NodeStore

/// An instance that was acknowledged and that a start could not record, though it could others: its file is put aside in `unrecorded/`, and this
/// is a line of `unrecorded.jsonl` in the data folder, for a person and `doctor --data`. Whoever sends the file in again settles it.
struct UnrecordedInstance: Codable {
    let sopInstanceUID, seriesInstanceUID, digest: String
    let callingAETitle, peer: String
    let received: Date
    /// Of the file, relative to the data folder.
    let path: String
    let reason: String
}

extension DataFolder {
    private var unrecordedList: URL { root.appending(path: "unrecorded.jsonl") }

    /// Keeps a record of the journal and its file for a person; both are on stable storage on return. Before, the journal must not lose the record.
    func keepForAPerson(_ record: IntakeRecord, because reason: String) throws -> UnrecordedInstance {
        let instance = record.instance, places = places(of: instance).map { "\($0.folder)/\($0.name)" }
        // A start before, or this one, may have come as far as its place.
        let path = places.first { condition(of: $0, size: instance.size, digest: instance.digest) == .intact } ?? instance.path
        let kept = UnrecordedInstance(
            sopInstanceUID: instance.sopInstanceUID, seriesInstanceUID: instance.seriesInstanceUID, digest: instance.digest,
            callingAETitle: record.association.callingAETitle, peer: record.association.peer, received: record.received,
            path: placeAside(places[0]), reason: reason)
        // The line first: without the file the next start would take the record for one that was never acknowledged.
        try append(kept)
        try setAside(path, at: kept.path)
        var folder = root.appending(path: kept.path).deletingLastPathComponent()
        while folder.path.count >= root.path.count {
            try makeDurable(folder)
            folder.deleteLastPathComponent()
        }
        return kept
    }

    private func append(_ kept: UnrecordedInstance) throws {
        let path = unrecordedList.path, file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_DSYNC, 0o640)
        defer { if file >= 0 { close(file) } }
        // A line that broke off must not take this one with it.
        let line = Array("\n\(NodeJSON.encode(kept))\n".utf8)
        guard file >= 0, write(file, line, line.count) == line.count else { throw NodeError(.dataFolder, "\(path) cannot be written: \(systemReason()).") }
    }

    /// What starts so far could not record, whether it was sent in again since or not.
    func unrecordedInstances() throws -> [UnrecordedInstance] {
        let lines: String
        do { lines = try String(contentsOf: unrecordedList, encoding: .utf8) } catch CocoaError.fileReadNoSuchFile { return [] }
        return lines.split(separator: "\n").compactMap { try? NodeJSON.decode(UnrecordedInstance.self, from: String($0)) }
    }
}
