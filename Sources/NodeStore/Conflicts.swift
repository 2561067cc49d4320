import Foundation
import GRDB

/// What becomes of an instance whose SOP Instance UID is known with other content.
public enum ConflictPolicy: String, Sendable, CaseIterable {
    /// Both are kept, the one that came first counts.
    case keepFirst
    /// Both are kept, the one that came last counts, and its series is contoured again.
    case keepLast
    /// What comes later is refused with 0x0111 and not kept.
    case refuse
}

/// One SOP Instance UID that came with two contents.
public struct Conflict: Sendable, Codable {
    /// What became of the later content: it took the place of the earlier, was kept behind it, was refused, or lies in a series of
    /// its own beside the earlier one's.
    public enum Outcome: String, Sendable, Codable { case replaced, keptFirst, refused, keptBeside }
    public let id: Int64
    public let sopInstanceUID: String
    public let outcome: Outcome
    /// Where the earlier content is, with its SHA-256 and the series it came in.
    public let heldPath, heldDigest, heldSeriesInstanceUID: String
    public let otherDigest: String
    /// Where the later content is; nil when it was refused.
    public let otherPath: String?
    /// Who sent the later content: calling AE title and address.
    public let callingAETitle, peer: String
    public let first, last: Date
    /// How often the later content came.
    public let times: Int
}

extension Store {
    /// Conflicts, the newest first, at most `limit`.
    public func conflicts(limit: Int = 1000) throws -> [Conflict] {
        try pool.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT c.*, i.path, i.digest, s.series_uid, a.calling_ae, a.peer,
                        (SELECT o.path FROM instance o WHERE o.sop_instance_uid = c.sop_instance_uid AND o.digest = c.other_digest) AS other_path
                    FROM conflict c JOIN instance i ON i.id = c.held JOIN series s ON s.id = i.series JOIN association a ON a.key = c.association
                    ORDER BY c.last DESC, c.id DESC LIMIT ?
                    """, arguments: [limit]
            ).map { row in
                Conflict(
                    id: row["id"], sopInstanceUID: row["sop_instance_uid"], outcome: Conflict.Outcome(rawValue: row["outcome"])!,
                    heldPath: row["path"], heldDigest: row["digest"], heldSeriesInstanceUID: row["series_uid"],
                    otherDigest: row["other_digest"], otherPath: row["other_path"], callingAETitle: row["calling_ae"], peer: row["peer"],
                    first: date(row["first"])!, last: date(row["last"])!, times: row["times"])
            }
        }
    }

    /// Notes that an instance came with other content than the one held.
    static func note(
        conflictOf instance: ReceivedInstance, with held: Int64, _ outcome: Conflict.Outcome, from association: String, at now: Date,
        in db: Database
    ) throws {
        try db.execute(
            sql: """
                INSERT INTO conflict (sop_instance_uid, held, other_digest, outcome, association, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
                ON CONFLICT (sop_instance_uid, other_digest) DO UPDATE SET outcome = excluded.outcome, association = excluded.association,
                    last = excluded.last, times = times + 1
                """,
            arguments: [
                instance.sopInstanceUID, held, instance.digest, outcome.rawValue, association, now.timeIntervalSince1970,
            ])
    }
}
