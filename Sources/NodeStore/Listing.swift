import Foundation
import GRDB

/// A job in one line, for `jobs list`.
public struct JobSummary: Sendable, Codable {
    public let id: Int64
    public let state: JobState
    /// Why it failed, was refused or withheld, or lost its last attempt.
    public let reason: String?
    public let seriesInstanceUID, studyInstanceUID: String
    public let templateSet: String?
    public let attempts, maximumAttempts: Int
    /// Instances that the job covers; of the whole series when nothing is to be run.
    public let instances: Int
    public let created: Date
    public let started, ended: Date?
    public let supersedes: Int64?
    /// Deliveries that the peer has confirmed, that still wait, and that were given up.
    public let sent, pending, undelivered: Int
}

/// Everything the store knows about a job, for `jobs show`.
public struct JobDetail: Sendable, Codable {
    public struct Delivery: Sendable, Codable {
        public let kind, name: String
        public let destination: String
        public let state: DeliveryState
        public let attempts: Int
        public let nextAttempt, sent: Date?
        /// The peer's last DIMSE status.
        public let lastStatus: Int?
        public let note: String?
    }

    public let summary: JobSummary
    /// Why the series was held to be complete, as JSON.
    public let evidence: String?
    /// Why the series was selected or not, as JSON.
    public let selection: String?
    /// The worker's report with the table of structures, as JSON.
    public let report: String?
    public let results: [NewResult]
    public let deliveries: [Delivery]
}

extension Store {
    /// Jobs, the newest first, at most `limit`.
    public func jobs(states: Set<JobState> = Set(JobState.allCases), limit: Int = 1000) throws -> [JobSummary] {
        try pool.read { db in
            let names = states.map(\.rawValue)
            return try Row.fetchAll(
                db, sql: Self.select + " WHERE j.state IN (\(databaseQuestionMarks(count: names.count))) ORDER BY j.id DESC LIMIT ?",
                arguments: StatementArguments(names) + [limit]
            ).map(Self.summary)
        }
    }

    /// One job with its results and deliveries.
    public func job(_ id: Int64) throws -> JobDetail {
        try pool.read { db in
            guard let row = try Row.fetchOne(db, sql: Self.select + " WHERE j.id = ?", arguments: [id]) else {
                throw StoreError(.notFound, "There is no job \(id).")
            }
            let results = try Row.fetchAll(db, sql: "SELECT * FROM result WHERE job = ? ORDER BY id", arguments: [id]).map(NewResult.init)
            let deliveries = try Row.fetchAll(
                db, sql: "SELECT d.*, r.kind, coalesce(r.name, r.kind) AS name FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = ? ORDER BY d.id",
                arguments: [id]
            ).map { row in
                JobDetail.Delivery(
                    kind: row["kind"], name: row["name"], destination: row["destination"],
                    state: DeliveryState(rawValue: row["state"])!, attempts: row["attempts"], nextAttempt: date(row["next_attempt"]),
                    sent: date(row["sent"]), lastStatus: row["last_status"], note: row["note"])
            }
            return JobDetail(
                summary: Self.summary(row), evidence: row["evidence"], selection: row["selection"], report: row["report"], results: results, deliveries: deliveries)
        }
    }

    private static let select = """
        SELECT j.*, s.series_uid, s.study_uid,
            CASE WHEN j.template_set IS NULL THEN (SELECT count(*) FROM instance i WHERE i.series = s.id AND i.state = 'current')
                ELSE (SELECT count(*) FROM job_instance ji WHERE ji.job = j.id) END AS instances,
            (SELECT count(*) FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = j.id AND d.state = 'sent') AS delivered,
            (SELECT count(*) FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = j.id AND d.state = 'pending') AS pending,
            (SELECT count(*) FROM delivery d JOIN result r ON r.id = d.result WHERE r.job = j.id AND d.state = 'failed') AS undelivered
        FROM job j JOIN series s ON s.id = j.series
        """

    private static func summary(_ row: Row) -> JobSummary {
        JobSummary(
            id: row["id"], state: JobState(rawValue: row["state"])!, reason: row["reason"], seriesInstanceUID: row["series_uid"],
            studyInstanceUID: row["study_uid"], templateSet: row["template_set"], attempts: row["attempts"],
            maximumAttempts: row["max_attempts"], instances: row["instances"], created: date(row["created"])!,
            started: date(row["started"]), ended: date(row["ended"]), supersedes: row["supersedes"], sent: row["delivered"],
            pending: row["pending"], undelivered: row["undelivered"])
    }
}
