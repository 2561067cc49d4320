import Foundation
import GRDB

/// How far the work is that an announcement tells of (PS3.3 C.4.14, Performed Procedure Step Status); a notification of
/// available instances is always completed.
public enum AnnouncementState: String, Sendable, Codable { case inProgress = "IN PROGRESS", completed = "COMPLETED", discontinued = "DISCONTINUED" }

/// A peer's word on which instances exist: a Modality Performed Procedure Step or an Instance Availability Notification.
public struct Announcement: Sendable, Equatable {
    public enum Kind: String, Sendable, Codable { case performedProcedureStep = "MPPS", instanceAvailability = "IAN" }

    public let kind: Kind
    public let sopInstanceUID: String
    /// The AE title it came from.
    public let source: String
    public let state: AnnouncementState

    public init(kind: Kind, sopInstanceUID: String, source: String, state: AnnouncementState) {
        self.kind = kind
        self.sopInstanceUID = sopInstanceUID
        self.source = source
        self.state = state
    }
}

/// All that was announced of one series.
public struct AnnouncedSeries: Sendable, Equatable {
    /// At least one, the oldest first.
    public let announcements: [Announcement]
    /// How many instances they name together, and how many of those are not here.
    public let instances, missing: Int

    public init(announcements: [Announcement], instances: Int, missing: Int) {
        self.announcements = announcements
        self.instances = instances
        self.missing = missing
    }
}

extension Store {
    /// Days for which announcements are kept: no series takes longer to arrive.
    private static let announcementsKept = 14.0

    /// An announcement; nil when there is none of that kind and UID.
    public func announcement(_ kind: Announcement.Kind, _ sopInstanceUID: String) throws -> Announcement? {
        try pool.read { try Self.announcement(kind, sopInstanceUID, in: $0)?.announcement }
    }

    /// Whether an announcement names any instance.
    public func namesInstances(_ announcement: Announcement) throws -> Bool {
        try pool.read { db in
            try Bool.fetchOne(
                db,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM announced_instance WHERE announcement =
                        (SELECT id FROM announcement WHERE kind = ? AND sop_instance_uid = ?))
                    """,
                arguments: [announcement.kind.rawValue, announcement.sopInstanceUID])!
        }
    }

    /// Records an announcement, or what has changed of it; durable when this returns.
    ///
    /// - Parameters:
    ///   - series: the instances it names now, by Series Instance UID; nil leaves those that it named before.
    ///   - isNew: whether there must, or must not, be one of its kind and UID.
    /// - Returns: false, and nothing has changed, when that is not so.
    public func record(_ announcement: Announcement, series: [String: [String]]?, isNew: Bool, at now: Date) throws -> Bool {
        try groupCommit { db in
            let known = try Self.announcement(announcement.kind, announcement.sopInstanceUID, in: db)
            guard (known == nil) == isNew else { return false }
            let id: Int64
            if let known {
                id = known.id
                try db.execute(sql: "UPDATE announcement SET state = ? WHERE id = ?", arguments: [announcement.state.rawValue, id])
            } else {
                try db.execute(
                    sql: "INSERT INTO announcement (kind, sop_instance_uid, source, state, received) VALUES (?, ?, ?, ?, ?)",
                    arguments: [
                        announcement.kind.rawValue, announcement.sopInstanceUID, announcement.source, announcement.state.rawValue,
                        now.timeIntervalSince1970,
                    ])
                id = db.lastInsertedRowID
                try Self.forgetAnnouncements(before: now - Self.announcementsKept * 86_400, in: db)
            }
            guard let series else { return true }
            try db.execute(sql: "DELETE FROM announced_instance WHERE announcement = ?", arguments: [id])
            for (uid, instances) in series {
                for instance in instances {
                    try db.execute(sql: "INSERT OR IGNORE INTO announced_instance VALUES (?, ?, ?)", arguments: [id, uid, instance])
                }
            }
            return true
        }
    }

    /// What was announced of a series; nil when nothing was.
    public func announced(series id: Int64) throws -> AnnouncedSeries? {
        try pool.read { db in
            let announcements = try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM announcement WHERE id IN (SELECT announcement FROM announced_instance
                        WHERE series_uid = (SELECT series_uid FROM series WHERE id = ?)) ORDER BY id
                    """,
                arguments: [id]
            ).map(Self.announcement)
            guard !announcements.isEmpty else { return nil }
            let counts = try Row.fetchOne(
                db,
                sql: """
                    SELECT count(*) AS instances, count(*) FILTER (WHERE NOT EXISTS (SELECT 1 FROM instance i
                        WHERE i.series = ?1 AND i.sop_instance_uid = a.sop_instance_uid AND i.state = 'current')) AS missing
                    FROM (SELECT DISTINCT sop_instance_uid FROM announced_instance
                        WHERE series_uid = (SELECT series_uid FROM series WHERE id = ?1)) a
                    """,
                arguments: [id])!
            return AnnouncedSeries(announcements: announcements, instances: counts["instances"], missing: counts["missing"])
        }
    }

    private static func forgetAnnouncements(before limit: Date, in db: Database) throws {
        for sql in [
            "DELETE FROM announced_instance WHERE announcement IN (SELECT id FROM announcement WHERE received < ?)",
            "DELETE FROM announcement WHERE received < ?",
        ] { try db.execute(sql: sql, arguments: [limit.timeIntervalSince1970]) }
    }

    private static func announcement(_ kind: Announcement.Kind, _ uid: String, in db: Database) throws -> (id: Int64, announcement: Announcement)? {
        try Row.fetchOne(
            db, sql: "SELECT * FROM announcement WHERE kind = ? AND sop_instance_uid = ?", arguments: [kind.rawValue, uid]
        ).map { ($0["id"], announcement($0)) }
    }

    private static func announcement(_ row: Row) -> Announcement {
        Announcement(
            kind: Announcement.Kind(rawValue: row["kind"])!, sopInstanceUID: row["sop_instance_uid"], source: row["source"],
            state: AnnouncementState(rawValue: row["state"])!)
    }
}
