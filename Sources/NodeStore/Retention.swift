import Foundation
import GRDB

/// For how long files are kept when nothing needs them any more; nil is for ever.
public struct RetentionRule: Sendable, Equatable {
    /// Of a series whose results every destination has taken, since the last of them did.
    public var delivered: TimeInterval?
    /// Of a series that makes no result, since that was found: refused, withheld, passed over, or not for contouring.
    public var notContoured: TimeInterval?

    public init(delivered: TimeInterval?, notContoured: TimeInterval?) {
        self.delivered = delivered
        self.notContoured = notContoured
    }
}

/// What retention took out of the store: rows say so on stable storage, and the files may go.
public struct Deletion: Sendable, Equatable {
    public let seriesInstanceUID: String
    public let reason: String
    /// Relative to the data folder: files of instances, and folders of jobs' results.
    public let files, folders: [String]
}

extension Store {
    /// Takes the oldest series that the rule gives free out of the store; nil when there is none.
    ///
    /// Returns once the rows say that its files are deleted, when and why; only then may they be. Never taken is a series that
    /// still arrives, is quarantined, waits to be chosen, has a job that waits, runs or failed, or a result that some destination has not taken, or that
    /// was made for none.
    public func delete(by rule: RetentionRule, at now: Date) throws -> Deletion? {
        // A read first: this is asked every few seconds, and nearly always there is nothing to write.
        guard try pool.read({ try Self.deletable(by: rule, at: now, in: $0) }) != nil else { return nil }
        return try groupCommit { db in
            guard let (series, uid, reason) = try Self.deletable(by: rule, at: now, in: db) else { return nil }
            let files = try String.fetchAll(
                db, sql: "SELECT path FROM instance WHERE series = ? AND state <> 'missing' ORDER BY id", arguments: [series])
            let jobs = try Int64.fetchAll(db, sql: "SELECT id FROM job WHERE series = ? AND template_set IS NOT NULL", arguments: [series])
            let stamp: StatementArguments = [now.timeIntervalSince1970, reason, series]
            try db.execute(
                sql: "UPDATE instance SET state = 'missing', deleted = ?, deletion = ? WHERE series = ? AND state <> 'missing'", arguments: stamp)
            try db.execute(
                sql: "UPDATE result SET deleted = ?, deletion = ? WHERE deleted IS NULL AND job IN (SELECT id FROM job WHERE series = ?)",
                arguments: stamp)
            return Deletion(seriesInstanceUID: uid, reason: reason, files: files, folders: jobs.map { "results/\($0)" })
        }
    }

    private static func deletable(by rule: RetentionRule, at now: Date, in db: Database) throws -> (series: Int64, uid: String, reason: String)? {
        let row = try Row.fetchOne(
            db,
            sql: """
                WITH done AS (
                    SELECT s.id, s.series_uid, s.last_arrival, j.state, j.ended,
                        (SELECT max(d.sent) FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = j.id) AS sent
                    FROM series s JOIN job j ON j.id = (SELECT max(id) FROM job WHERE series = s.id)
                    WHERE s.state IN ('complete', 'ignored') AND j.state IN ('succeeded', 'refused', 'withheld', 'superseded')
                        AND EXISTS (SELECT 1 FROM instance i WHERE i.series = s.id AND i.state <> 'missing')
                        AND NOT EXISTS (SELECT 1 FROM job o WHERE o.series = s.id AND o.state IN ('queued', 'running'))
                        AND NOT EXISTS (SELECT 1 FROM candidate c WHERE c.series = s.id AND c.state = 'waiting')
                        AND NOT EXISTS (SELECT 1 FROM job o JOIN result r ON r.job = o.id WHERE o.series = s.id AND o.state = 'succeeded'
                            AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.result = r.id))
                        AND NOT EXISTS (SELECT 1 FROM job o JOIN result r ON r.job = o.id JOIN delivery d ON d.result = r.id
                            WHERE o.series = s.id AND d.state NOT IN ('sent', 'omitted'))
                        AND NOT EXISTS (SELECT 1 FROM series_association sa JOIN association a ON a.key = sa.association
                            WHERE sa.series = s.id AND a.ended IS NULL)
                )
                SELECT id, series_uid, state, max(last_arrival, ended, coalesce(sent, 0)) AS since FROM done
                WHERE since <= CASE state WHEN 'succeeded' THEN ?1 ELSE ?2 END ORDER BY since LIMIT 1
                """,
            arguments: StatementArguments([rule.delivered, rule.notContoured].map { $0.map { now.timeIntervalSince1970 - $0 } }))
        return row.map { row in
            let delivered = row["state"] == "succeeded"
            let days = ((delivered ? rule.delivered : rule.notContoured) ?? 0) / 86400
            let age = days == 1 ? "1 day" : "\(days.formatted()) days"
            return (
                row["id"], row["series_uid"], "\(delivered ? "Its results were delivered" : "It makes no result, and arrived") \(age) ago or earlier."
            )
        }
    }
}
