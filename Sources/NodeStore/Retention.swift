import Foundation
import GRDB

/// For how long files are kept when nothing needs them any more, in seconds; nil is for ever.
public struct RetentionRule: Sendable, Equatable {
    /// Why nothing needs a series.
    public enum Case: String, Sendable, CaseIterable {
        /// Every destination has taken its results.
        case delivered
        /// It makes no result: refused, withheld, passed over, or not for contouring.
        case notContoured
        /// Its job failed for good.
        case failed
        /// It is kept apart, whether a person has decided so or not.
        case quarantined
    }

    private let seconds: [Case: TimeInterval]

    public init(_ seconds: [Case: TimeInterval]) { self.seconds = seconds }

    subscript(_ reason: Case) -> TimeInterval? { seconds[reason] }
}

/// What retention took out of the store: rows say so on stable storage, and the files may go.
public struct Deletion: Sendable, Equatable {
    public let seriesInstanceUID: String
    public let reason: String
    /// Relative to the data folder: files of instances, and folders of jobs' results.
    public let files, folders: [String]
}

/// Ages are counted in service seconds: for how long nodes have worked on the folder, by a clock that nobody sets. What is deleted is gone, and
/// a wall clock may be wrong by years, before or now; a node that is off for a while keeps its files for so much longer.
extension Store {
    /// The service seconds that were recorded last; a run counts on from there.
    public func serviceSeconds() throws -> TimeInterval {
        try pool.read { try TimeInterval.fetchOne($0, sql: "SELECT seconds FROM service")! }
    }

    /// How many service seconds may be lost with a run that is killed.
    private static let serviceLoss: TimeInterval = 600

    /// Notes of each series that nothing needs any more since when that is so, unless it is noted. `seconds`: service seconds.
    public func noteUnneeded(at seconds: TimeInterval) throws {
        // A read first: nearly always there is nothing to write.
        let isDue = try pool.read { db in
            let recorded = try TimeInterval.fetchOne(db, sql: "SELECT seconds FROM service")!
            return try seconds >= recorded + Self.serviceLoss || Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 \(Self.unnoted))")!
        }
        guard isDue else { return }
        try groupCommit { db in
            try db.execute(sql: "UPDATE service SET seconds = ?", arguments: [seconds])
            try db.execute(
                sql: """
                    INSERT INTO unneeded (series, signs, since) SELECT s.id, \(Self.signs), ? \(Self.unnoted)
                    ON CONFLICT (series) DO UPDATE SET signs = excluded.signs, since = excluded.since
                    """, arguments: [seconds])
        }
    }

    /// Takes the series out of the store that the rule gives free and nothing has needed for longest; nil when there is none.
    ///
    /// Returns once the rows say that its files are deleted, when and why; only then may they be. Never taken is a series that
    /// still arrives, waits to be chosen, has a job that waits or runs, or a result that some destination has not taken, or that
    /// was made for none. `seconds`: service seconds; `now`: only for the rows.
    public func delete(by rule: RetentionRule, at seconds: TimeInterval, now: Date) throws -> Deletion? {
        guard try pool.read({ try Self.deletable(by: rule, at: seconds, in: $0) }) != nil else { return nil }
        return try groupCommit { db in
            guard let (series, uid, reason) = try Self.deletable(by: rule, at: seconds, in: db) else { return nil }
            let files = try String.fetchAll(
                db, sql: "SELECT path FROM instance WHERE series = ? AND state <> 'missing' ORDER BY id", arguments: [series])
            let jobs = try Int64.fetchAll(db, sql: "SELECT id FROM job WHERE series = ? AND template_set IS NOT NULL", arguments: [series])
            let stamp: StatementArguments = [now.timeIntervalSince1970, reason, series]
            try db.execute(
                sql: "UPDATE instance SET state = 'missing', deleted = ?, deletion = ? WHERE series = ? AND state <> 'missing'", arguments: stamp)
            try db.execute(
                sql: "UPDATE result SET deleted = ?, deletion = ? WHERE deleted IS NULL AND job IN (SELECT id FROM job WHERE series = ?)",
                arguments: stamp)
            try db.execute(sql: "DELETE FROM unneeded WHERE series = ?", arguments: [series])
            return Deletion(seriesInstanceUID: uid, reason: reason, files: files, folders: jobs.flatMap { ["results/\($0)", "rejected/\($0)"] })
        }
    }

    // MARK: What nothing needs

    /// A series `s` with its newest job `j`.
    private static let newestJob = "JOIN job j ON j.id = (SELECT max(id) FROM job WHERE series = s.id)"

    /// Whether nothing needs it.
    private static let isUnneeded = """
        s.state IN ('complete', 'ignored', 'quarantined') AND j.state NOT IN ('queued', 'running')
            AND EXISTS (SELECT 1 FROM instance i WHERE i.series = s.id AND i.state <> 'missing')
            AND NOT EXISTS (SELECT 1 FROM job o WHERE o.series = s.id AND o.state IN ('queued', 'running'))
            AND NOT EXISTS (SELECT 1 FROM candidate c WHERE c.series = s.id AND c.state = 'waiting')
            AND NOT EXISTS (SELECT 1 FROM job o JOIN result r ON r.job = o.id WHERE o.series = s.id AND o.state = 'succeeded'
                AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.result = r.id))
            AND NOT EXISTS (SELECT 1 FROM job o JOIN result r ON r.job = o.id JOIN delivery d ON d.result = r.id
                WHERE o.series = s.id AND d.state NOT IN ('sent', 'omitted'))
            AND NOT EXISTS (SELECT 1 FROM series_association sa JOIN association a ON a.key = sa.association
                WHERE sa.series = s.id AND a.ended IS NULL)
        """

    /// What changes when a series stirs.
    private static let signs = """
        json_array(s.last_arrival, j.id, j.ended, (SELECT max(id) FROM decision WHERE series = s.id),
            (SELECT max(d.sent) FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = j.id))
        """

    private static let unnoted = """
        FROM series s \(newestJob) LEFT JOIN unneeded u ON u.series = s.id WHERE \(isUnneeded) AND u.signs IS NOT \(signs)
        """

    private static func deletable(by rule: RetentionRule, at seconds: TimeInterval, in db: Database) throws -> (series: Int64, uid: String, reason: String)? {
        let cases = RetentionRule.Case.allCases.compactMap { reason in rule[reason].map { (reason, age: $0) } }
        guard let shortest = cases.map(\.age).min() else { return nil }
        let row = try Row.fetchOne(
            db,
            sql: """
                SELECT s.id, s.series_uid, CASE WHEN s.state = 'quarantined' THEN 'quarantined' WHEN j.state = 'succeeded' THEN 'delivered'
                    WHEN j.state = 'failed' THEN 'failed' ELSE 'notContoured' END AS why
                FROM unneeded u CROSS JOIN series s ON s.id = u.series \(newestJob)
                WHERE u.since <= ? AND \(isUnneeded) AND u.signs = \(signs)
                    AND u.since <= CASE why \(cases.map { "WHEN '\($0.0.rawValue)' THEN \(seconds - $0.age)" }.joined(separator: " ")) END
                ORDER BY u.since, u.series LIMIT 1
                """,
            arguments: [seconds - shortest])
        return row.map { row in
            let reason = RetentionRule.Case(rawValue: row["why"])!
            let days = rule[reason]! / 86400
            return (row["id"], row["series_uid"], "\(reason.words) \(days == 1 ? "1 day" : "\(days.formatted()) days") ago or earlier.")
        }
    }
}

extension RetentionRule.Case {
    fileprivate var words: String {
        switch self {
        case .delivered: "Its results were delivered"
        case .notContoured: "It makes no result, and arrived"
        case .failed: "Its job failed"
        case .quarantined: "It was quarantined"
        }
    }
}
