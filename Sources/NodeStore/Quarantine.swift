import Foundation
import GRDB

/// A series that is kept apart, or was until a person released it.
public struct QuarantinedSeries: Sendable, Codable {
    /// What a person decided: never changed, a later one is added.
    public struct Decision: Sendable, Codable {
        public enum Kind: String, Sendable, Codable { case released, keptApart }
        public let decision: Kind
        public let made: Date
        /// The account on this machine that decided, and the reason given.
        public let who, why: String
    }

    /// The series' number, which commands take.
    public let id: Int64
    public let seriesInstanceUID, studyInstanceUID: String
    public let state: SeriesState
    /// Why it is kept apart; nil once it is released.
    public let reason: String?
    public let instances: Int
    public let lastArrival: Date
    /// Who sent it: calling AE titles.
    public let callingAETitles: [String]
    /// One of its files, and one of the series whose UIDs it claims: for a person to compare who they are of.
    public let path, otherPath: String?
    /// The oldest first.
    public let decisions: [Decision]
}

extension Store {
    /// Series in quarantine that no person has looked at; with `settled`, also those that were decided about.
    public func quarantine(settled: Bool = false) throws -> [QuarantinedSeries] {
        try pool.read { db in
            let condition = settled ? "s.state = 'quarantined' OR d.series IS NOT NULL" : "s.state = 'quarantined' AND d.series IS NULL"
            return try Row.fetchAll(
                db,
                sql: """
                    SELECT s.*, (SELECT count(*) FROM instance i WHERE i.series = s.id AND i.state <> 'missing') AS instances,
                        (SELECT path FROM instance i WHERE i.series = s.id AND i.state <> 'missing' ORDER BY i.id LIMIT 1) AS path,
                        (SELECT i.path FROM instance i JOIN series o ON o.id = i.series
                            WHERE (o.study_uid = s.study_uid OR o.series_uid = s.series_uid) AND o.id <> s.id AND o.state <> 'quarantined'
                                AND i.state <> 'missing' ORDER BY i.id LIMIT 1) AS other_path
                    FROM series s LEFT JOIN (SELECT DISTINCT series FROM decision) d ON d.series = s.id WHERE \(condition) ORDER BY s.id
                    """
            ).map { try Self.quarantined($0, in: db) }
        }
    }

    /// Lets a series out of quarantine, as what it says it is: what of it can be contoured will be.
    ///
    /// `refusal` tells from an instance's header why it makes no job; nil when it can. Throws `notFound`, or `notAllowed` when it is not in
    /// quarantine.
    public func release(series id: Int64, who: String, why: String, refusal: @escaping @Sendable (Data) -> String?, at now: Date) throws {
        try groupCommit { db in
            try Self.decide(.released, series: id, who: who, why: why, at: now, in: db)
            let headers = try Data.fetchAll(db, sql: "SELECT header FROM instance WHERE series = ? AND state = 'current' ORDER BY id", arguments: [id])
            let refusals = headers.map(refusal)
            let reason = refusals.contains(nil) ? nil : refusals.first ?? nil
            let state: SeriesState = reason == nil && !headers.isEmpty ? .receiving : .ignored
            try db.execute(sql: "UPDATE series SET state = ?, reason = ? WHERE id = ?", arguments: [state.rawValue, reason, id])
        }
    }

    /// Notes that a series stays apart for good: nothing of it is contoured. A later `release` is still possible while retention leaves it.
    public func keepApart(series id: Int64, who: String, why: String, at now: Date) throws {
        try groupCommit { db in try Self.decide(.keptApart, series: id, who: who, why: why, at: now, in: db) }
    }

    private static func decide(
        _ decision: QuarantinedSeries.Decision.Kind, series id: Int64, who: String, why: String, at now: Date, in db: Database
    ) throws {
        guard let state = try String.fetchOne(db, sql: "SELECT state FROM series WHERE id = ?", arguments: [id]) else {
            throw StoreError(.notFound, "There is no series number \(id).")
        }
        guard state == SeriesState.quarantined.rawValue else { throw StoreError(.notAllowed, "Series number \(id) is not in quarantine.") }
        try db.execute(
            sql: "INSERT INTO decision (series, decision, made, who, why) VALUES (?, ?, ?, ?, ?)",
            arguments: [id, decision.rawValue, now.timeIntervalSince1970, who, why])
    }

    private static func quarantined(_ row: Row, in db: Database) throws -> QuarantinedSeries {
        let id: Int64 = row["id"]
        return QuarantinedSeries(
            id: id, seriesInstanceUID: row["series_uid"], studyInstanceUID: row["study_uid"], state: SeriesState(rawValue: row["state"])!,
            reason: row["reason"], instances: row["instances"], lastArrival: date(row["last_arrival"])!,
            callingAETitles: try String.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT a.calling_ae FROM series_association sa JOIN association a ON a.key = sa.association
                    WHERE sa.series = ? ORDER BY a.calling_ae
                    """, arguments: [id]),
            path: row["path"], otherPath: row["other_path"],
            decisions: try Row.fetchAll(db, sql: "SELECT * FROM decision WHERE series = ? ORDER BY id", arguments: [id]).map {
                QuarantinedSeries.Decision(
                    decision: .init(rawValue: $0["decision"])!, made: date($0["made"])!, who: $0["who"], why: $0["why"])
            })
    }
}
