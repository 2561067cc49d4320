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
    public func instances(withSOPInstanceUID uid: String) throws -> [StoredInstance] {
        try pool.read { db in
            try Row.fetchAll(
                db, sql: "SELECT \(StoredInstance.columns) FROM instance WHERE sop_instance_uid = ? ORDER BY state <> 'current', id DESC",
                arguments: [uid]
            ).map(StoredInstance.init)
        }
    }
}
