import Foundation
import GRDB

/// A complete series that competes with others, of which one is contoured.
public struct CandidateRow: Sendable, Equatable {
    public enum State: String, Sendable, Codable { case waiting, chosen, passed }
    public let series: Int64
    public let seriesInstanceUID: String
    public let state: State
    /// When it was complete.
    public let since: Date
    /// What the choice rests on, encoded by the caller.
    public let facts: String
}

/// A contest that is open: some of its series wait for the choice.
public struct OpenContest: Sendable {
    public let name: String
    /// All that are complete, in the order in which they were, and the one that was chosen before.
    public let candidates: [CandidateRow]
    /// The latest arrival in any series of the study.
    public let lastArrival: Date
    /// Whether some series of the study is still arriving.
    public let isArriving: Bool
}

/// What a choice makes of one series.
public struct Choice: Sendable {
    public let series: Int64
    public let isChosen: Bool
    /// What it is to be contoured with; kept of those passed over too, so that a person can have them contoured.
    public let templateSet: String
    /// The instances to be read, by SOP Instance UID; nil for all of the series.
    public let instances: [String]?
    /// A sentence for those passed over; kept as JSON in `selection` for all.
    public let reason, selection: String

    public init(series: Int64, isChosen: Bool, templateSet: String, instances: [String]?, reason: String, selection: String) {
        self.series = series
        self.isChosen = isChosen
        self.templateSet = templateSet
        self.instances = instances
        self.reason = reason
        self.selection = selection
    }
}

extension Store {
    /// Closes a complete series that no job is to be run for, and records why; returns the number of that record among the jobs.
    ///
    /// Nil, and nothing happens, when an instance came after `lastArrival`.
    public func leaveOut(
        series id: Int64, lastArrival: Date, evidence: String, selection: String, reason: String, at now: Date
    ) throws -> Int64? {
        try decide(about: id) { db in
            guard try Self.close(id, lastArrival: lastArrival, in: db) else { return nil }
            try db.execute(sql: "DELETE FROM candidate WHERE series = ?", arguments: [id])
            let job = NewJob(
                series: id, state: .refused, reason: reason, templateSet: nil, maximumAttempts: 1, evidence: evidence, selection: selection)
            return try Self.insert(job, at: now, in: db)
        }
    }

    /// The series that was chosen in a contest; nil before the choice.
    public func chosen(in contest: String) throws -> Int64? {
        try pool.read { try Int64.fetchOne($0, sql: "SELECT series FROM candidate WHERE contest = ? AND state = 'chosen'", arguments: [contest]) }
    }

    /// Closes a complete series and lets it wait for the choice in a contest; false when an instance came after `lastArrival`.
    public func enter(
        series id: Int64, lastArrival: Date, evidence: String, contest: String, facts: String, at now: Date
    ) throws -> Bool {
        try decide(about: id) { db in
            guard try Self.close(id, lastArrival: lastArrival, in: db) else { return false }
            try db.execute(
                sql: """
                    INSERT INTO candidate (series, contest, state, since, evidence, facts) VALUES (?, ?, 'waiting', ?, ?, ?)
                    ON CONFLICT (series) DO UPDATE SET contest = excluded.contest, since = excluded.since,
                        evidence = excluded.evidence, facts = excluded.facts, state = 'waiting'
                    """,
                arguments: [id, contest, now.timeIntervalSince1970, evidence, facts])
            return true
        }
    }

    /// The contests in which some series waits for the choice.
    public func openContests() throws -> [OpenContest] {
        try pool.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT c.*, s.series_uid, s.study_uid FROM candidate c JOIN series s ON s.id = c.series
                    WHERE c.contest IN (SELECT contest FROM candidate WHERE state = 'waiting') AND (s.state = 'complete' OR c.state = 'chosen')
                    ORDER BY c.contest, c.since, c.series
                    """)
            return try Dictionary(grouping: rows) { $0["contest"] as String }.sorted { $0.key < $1.key }.map { contest, rows in
                let study: String = rows[0]["study_uid"]
                let activity = try Row.fetchOne(
                    db, sql: "SELECT max(last_arrival) AS last, count(*) FILTER (WHERE state = 'receiving') AS arriving FROM series WHERE study_uid = ?",
                    arguments: [study])!
                let candidates = rows.map { row in
                    CandidateRow(
                        series: row["series"], seriesInstanceUID: row["series_uid"], state: CandidateRow.State(rawValue: row["state"])!,
                        since: date(row["since"])!, facts: row["facts"])
                }
                return OpenContest(
                    name: contest, candidates: candidates, lastArrival: date(activity["last"])!, isArriving: activity["arriving"] > 0)
            }
        }
    }

    /// Records a choice: the chosen series gets its job, the others a record of why they are passed over; returns the job's number.
    ///
    /// `supersedes`: a series that was chosen before and gives way; its job that has not ended will send nothing. Choices about series
    /// that do not wait any more are not taken.
    public func choose(_ choices: [Choice], supersedes former: Int64?, maximumAttempts: Int, at now: Date) throws -> Int64? {
        try groupCommit { db in
            var made: Int64?
            if let former { try db.execute(sql: "UPDATE candidate SET state = 'passed' WHERE series = ?", arguments: [former]) }
            for choice in choices {
                let row = try Row.fetchOne(
                    db, sql: "SELECT evidence FROM candidate c JOIN series s ON s.id = c.series WHERE c.series = ? AND c.state = 'waiting' AND s.state = 'complete'",
                    arguments: [choice.series])
                guard let row else { continue }
                try db.execute(
                    sql: "UPDATE candidate SET state = ? WHERE series = ?", arguments: [choice.isChosen ? "chosen" : "passed", choice.series])
                let earlier = try choice.isChosen ? former.flatMap { try Int64.fetchOne(db, sql: "SELECT max(id) FROM job WHERE series = ?", arguments: [$0]) } : nil
                let job = NewJob(
                    series: choice.series, state: choice.isChosen ? .queued : .refused, reason: choice.isChosen ? nil : choice.reason,
                    templateSet: choice.templateSet, instances: choice.instances, maximumAttempts: maximumAttempts, evidence: row["evidence"], selection: choice.selection,
                    supersedes: earlier)
                let id = try Self.insert(job, at: now, in: db)
                if choice.isChosen { made = id }
            }
            return made
        }
    }

    /// A series that was chosen as the best and turned out to be unreadable leaves the contest; of the others one that has its results
    /// stands as chosen again, else the choice is made anew among them. A person may still retry the job.
    static func reopenContest(lostBy job: Int64, in db: Database) throws {
        let row = try Row.fetchOne(
            db, sql: "SELECT c.series, c.contest FROM candidate c JOIN job j ON j.series = c.series WHERE j.id = ? AND c.state = 'chosen'", arguments: [job])
        guard let row else { return }
        let (series, contest): (Int64, String) = (row["series"], row["contest"])
        try db.execute(sql: "DELETE FROM candidate WHERE series = ?", arguments: [series])
        try db.execute(
            sql: """
                UPDATE candidate SET state = 'chosen' WHERE series = (
                    SELECT c.series FROM candidate c JOIN job j ON j.series = c.series
                    WHERE c.contest = ? AND c.state = 'passed' AND j.state = 'succeeded' ORDER BY j.id DESC LIMIT 1)
                """,
            arguments: [contest])
        guard db.changesCount == 0 else { return }
        try db.execute(sql: "UPDATE candidate SET state = 'waiting' WHERE contest = ? AND state = 'passed'", arguments: [contest])
    }
}
