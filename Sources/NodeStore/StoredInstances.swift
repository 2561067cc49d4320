import Foundation
import GRDB

/// An instance's row.
public struct StoredInstance: Sendable, Codable {
    /// `current` counts, `replaced` is kept behind another content of the same UID; the file of a `missing` one is lost or deleted.
    public enum State: String, Sendable, Codable { case current, replaced, missing }
    public let id: Int64
    public let sopInstanceUID, sopClassUID: String
    public let state: State
    /// Relative to the data folder.
    public let path: String
    /// SHA-256 of the data set, in hexadecimal.
    public let digest: String
    /// Bytes of the file.
    public let size: Int
    /// When and why retention deleted the file; nil while it is there, or when it is lost.
    public let deleted: Date?
    public let deletion: String?

    init(_ row: Row) {
        id = row["id"]
        sopInstanceUID = row["sop_instance_uid"]
        sopClassUID = row["sop_class_uid"]
        state = State(rawValue: row["state"])!
        path = row["path"]
        digest = row["digest"]
        size = row["size"]
        deleted = date(row["deleted"])
        deletion = row["deletion"]
    }

    static let columns = "id, sop_instance_uid, sop_class_uid, state, path, digest, size, deleted, deletion"
}

extension Store {
    /// All contents that came under a SOP Instance UID, quarantined ones too, the current ones first.
    ///
    /// Throws `notRecorded` where one of them was acknowledged and cannot be recorded now.
    public func instances(withSOPInstanceUID uid: String) throws -> [StoredInstance] {
        guard !recordAcknowledged().contains(where: { $0.sopInstanceUID == uid }) else {
            throw StoreError(.notRecorded, "Instance \(uid) was received and cannot be recorded yet.")
        }
        return try pool.read { db in
            try Row.fetchAll(
                db, sql: "SELECT \(StoredInstance.columns) FROM instance WHERE sop_instance_uid = ? ORDER BY state <> 'current', id DESC",
                arguments: [uid]
            ).map(StoredInstance.init)
        }
    }

    /// Rows of instances, `limit` at most, in the order of their numbers from the one after `id`.
    public func instances(after id: Int64, limit: Int) throws -> [StoredInstance] {
        try pool.read { db in
            try Row.fetchAll(
                db, sql: "SELECT \(StoredInstance.columns) FROM instance WHERE id > ? ORDER BY id LIMIT ?", arguments: [id, limit]
            ).map(StoredInstance.init)
        }
    }

    /// An instance as its row is now.
    public func instance(_ id: Int64) throws -> StoredInstance? {
        try instances(after: id - 1, limit: 1).first { $0.id == id }
    }

    /// Those of some paths that rows of instances or results name.
    public func recorded(among paths: [String]) throws -> Set<String> {
        try pool.read { db in
            var found: Set<String> = []
            for table in ["instance", "result"] {
                // Fewer than SQLite's limit of variables in a statement.
                for start in stride(from: 0, to: paths.count, by: 500) {
                    let some = Array(paths[start..<min(start + 500, paths.count)])
                    found.formUnion(try String.fetchAll(
                        db, sql: "SELECT path FROM \(table) WHERE path IN (\(databaseQuestionMarks(count: some.count)))", arguments: StatementArguments(some)))
                }
            }
            return found
        }
    }

    /// Files of results that are not deleted: path, and SHA-256 of the data set where it is known.
    public func results() throws -> [(path: String, sopInstanceUID: String, digest: String?)] {
        try pool.read { db in
            try Row.fetchAll(db, sql: "SELECT path, sop_instance_uid, digest FROM result WHERE deleted IS NULL ORDER BY id").map {
                ($0["path"], $0["sop_instance_uid"], $0["digest"])
            }
        }
    }
}
