import Foundation
import GRDB

/// Where a series stands: still arriving, handed to a job, of no use for one, or kept apart for a person to look at.
public enum SeriesState: String, Sendable, Codable { case receiving, complete, ignored, quarantined }

/// A series that is still arriving, and the evidence about its end.
public struct SeriesInProgress: Sendable {
    public let id: Int64
    public let seriesInstanceUID: String
    public let lastArrival: Date
    /// Associations that brought instances of it and have not ended.
    public let openAssociations: Int
    /// When the latest of its associations ended, and how; nil while none has.
    public let lastEnd: Date?
    public let lastEnding: AssociationEnding?

    public init(
        id: Int64, seriesInstanceUID: String, lastArrival: Date, openAssociations: Int, lastEnd: Date?, lastEnding: AssociationEnding?
    ) {
        self.id = id
        self.seriesInstanceUID = seriesInstanceUID
        self.lastArrival = lastArrival
        self.openAssociations = openAssociations
        self.lastEnd = lastEnd
        self.lastEnding = lastEnding
    }
}

extension Store {
    /// All series that are still arriving.
    public func seriesInProgress() throws -> [SeriesInProgress] {
        try pool.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT s.id, s.series_uid, s.last_arrival, count(*) FILTER (WHERE a.key IS NOT NULL AND a.ended IS NULL) AS open,
                        max(a.ended) AS last_end,
                        (SELECT b.ending FROM series_association sb JOIN association b ON b.key = sb.association
                            WHERE sb.series = s.id AND b.ended IS NOT NULL ORDER BY b.ended DESC LIMIT 1) AS ending
                    FROM series s LEFT JOIN series_association sa ON sa.series = s.id LEFT JOIN association a ON a.key = sa.association
                    WHERE s.state = 'receiving' GROUP BY s.id ORDER BY s.id
                    """
            ).map { row in
                SeriesInProgress(
                    id: row["id"], seriesInstanceUID: row["series_uid"], lastArrival: date(row["last_arrival"])!,
                    openAssociations: row["open"], lastEnd: date(row["last_end"]),
                    lastEnding: (row["ending"] as String?).flatMap(AssociationEnding.init))
            }
        }
    }

    /// The headers of a series' current instances, as they were recorded.
    public func headers(ofSeries id: Int64) throws -> [Data] {
        try pool.read { db in
            try Data.fetchAll(db, sql: "SELECT header FROM instance WHERE series = ? AND state = 'current' ORDER BY id", arguments: [id])
        }
    }

    /// Closes a series and makes its job, superseding the series' earlier ones; returns the job's number.
    ///
    /// Nothing happens, and nil returns, when an instance came after `lastArrival`: the decision rests on old evidence then.
    /// A queued job of the series becomes superseded at once; a running one goes on, and is superseded when it ends.
    public func complete(
        series id: Int64, lastArrival: Date, evidence: String, templateSet: String, maximumAttempts: Int, at now: Date
    ) throws -> Int64? {
        try groupCommit { db in
            try db.execute(
                sql: "UPDATE series SET state = 'complete' WHERE id = ? AND state = 'receiving' AND last_arrival = ?",
                arguments: [id, lastArrival.timeIntervalSince1970])
            guard db.changesCount == 1 else { return nil }
            let earlier = try Int64.fetchOne(db, sql: "SELECT max(id) FROM job WHERE series = ?", arguments: [id])
            try db.execute(
                sql: "UPDATE job SET state = 'superseded', reason = 'Later slices arrived.', ended = ? WHERE series = ? AND state = 'queued'",
                arguments: [now.timeIntervalSince1970, id])
            try db.execute(
                sql: """
                    INSERT INTO job (series, state, template_set, max_attempts, created, supersedes, evidence)
                    VALUES (?, 'queued', ?, ?, ?, ?, ?)
                    """,
                arguments: [id, templateSet, maximumAttempts, now.timeIntervalSince1970, earlier, evidence])
            let job = db.lastInsertedRowID
            try db.execute(
                sql: "INSERT INTO job_instance (job, instance) SELECT ?, id FROM instance WHERE series = ? AND state = 'current'",
                arguments: [job, id])
            return job
        }
    }
}

/// A time as the database holds it.
func date(_ seconds: Double?) -> Date? { seconds.map { Date(timeIntervalSince1970: $0) } }
