import Foundation
import GRDB

/// Where a job stands. `refused`: the input is not for contouring; `withheld`: nothing in it could be contoured with
/// enough confidence; `superseded`: later slices made a newer job.
public enum JobState: String, Sendable, Codable, CaseIterable { case queued, running, succeeded, failed, refused, withheld, superseded }

/// A job that was handed out to be run.
public struct JobTicket: Sendable {
    public let id: Int64
    /// This attempt's number, from 1; already counted in the database.
    public let attempt: Int
    public let seriesInstanceUID, studyInstanceUID, templateSet: String
    /// Identity of the patient, to hold the results against.
    public let patientDigest: String
    /// When the job was made; the same at every attempt.
    public let created: Date
    /// Files of the job's instances, relative to the data folder.
    public let paths: [String]
    /// The results that the job's will replace: those of the nearest job it supersedes that gave some out.
    public let replaces: [NewResult]
}

/// An object that a job made.
public struct NewResult: Sendable, Codable, Equatable {
    /// Such as `SEG`.
    public let kind: String
    /// Tells it from others of its kind and job, as people see it.
    public let name: String
    /// What it was made by, as JSON; nil for results of an earlier version.
    public let specification: String?
    public let sopClassUID, sopInstanceUID: String
    /// Relative to the data folder.
    public let path: String
    /// SHA-256 of the data set, in hexadecimal; nil for results of the first schema.
    public let digest: String?

    public init(
        kind: String, name: String? = nil, specification: String? = nil, sopClassUID: String, sopInstanceUID: String, path: String, digest: String? = nil
    ) {
        self.kind = kind
        self.name = name ?? kind
        self.specification = specification
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.path = path
        self.digest = digest
    }
}

extension NewResult {
    init(_ row: Row) {
        self.init(
            kind: row["kind"], name: row["name"], specification: row["specification"], sopClassUID: row["sop_class_uid"],
            sopInstanceUID: row["sop_instance_uid"], path: row["path"], digest: row["digest"])
    }
}

/// How an attempt at a job ended.
public enum JobOutcome: Sendable {
    case succeeded(results: [NewResult], deliveries: [NewDelivery], report: String)
    case withheld(reason: String, report: String)
    case refused(reason: String)
    /// For good: another attempt could not go otherwise.
    case failed(reason: String)
    /// Costs this attempt; the job is queued again while it has some left.
    case attemptLost(reason: String)
    /// The node stops in an orderly way: the job is queued again and the attempt does not count.
    case interrupted
}

extension Store {
    /// Takes the oldest queued job, counting the attempt before anything of it runs; nil when none waits.
    ///
    /// `alive`: the jobs that the caller runs at this time. Any other that is down as running has lost its attempt: its end could
    /// not be recorded.
    public func claimJob(alive: Set<Int64>, at now: Date) throws -> JobTicket? {
        try groupCommit { db in
            _ = try Self.loseAttempts(except: alive, reason: "The end of an attempt could not be recorded.", at: now, in: db)
            guard let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT j.id, j.attempts, j.template_set, j.created, s.series_uid, s.study_uid, s.patient_digest
                    FROM job j JOIN series s ON s.id = j.series
                    WHERE j.state = 'queued' AND NOT EXISTS (SELECT 1 FROM job r WHERE r.series = j.series AND r.state = 'running')
                    ORDER BY j.id LIMIT 1
                    """)
            else { return nil }
            let id: Int64 = row["id"]
            try db.execute(
                sql: "UPDATE job SET state = 'running', attempts = attempts + 1, started = ?, ended = NULL, reason = NULL WHERE id = ?",
                arguments: [now.timeIntervalSince1970, id])
            let paths = try String.fetchAll(
                db, sql: "SELECT i.path FROM job_instance ji JOIN instance i ON i.id = ji.instance WHERE ji.job = ? ORDER BY i.path",
                arguments: [id])
            return JobTicket(
                id: id, attempt: row["attempts"] + 1, seriesInstanceUID: row["series_uid"], studyInstanceUID: row["study_uid"],
                templateSet: row["template_set"] ?? "", patientDigest: row["patient_digest"],
                created: date(row["created"])!, paths: paths, replaces: try Self.replaced(by: id, in: db))
        }
    }

    /// Results of a job that was superseded while it ran were never given out, so that those before them are what is replaced.
    private static func replaced(by job: Int64, in db: Database) throws -> [NewResult] {
        try Row.fetchAll(
            db,
            sql: """
                WITH RECURSIVE earlier (id) AS (
                    SELECT supersedes FROM job WHERE id = ? UNION SELECT j.supersedes FROM job j JOIN earlier e ON j.id = e.id)
                SELECT * FROM result WHERE job = (SELECT max(j.id) FROM job j JOIN earlier USING (id) WHERE j.state = 'succeeded') ORDER BY id
                """,
            arguments: [job]
        ).map(NewResult.init)
    }

    /// Ends an attempt: state, results and outbox rows in one transaction; returns the state the job is in now.
    ///
    /// Results of a job that a newer one supersedes are kept but not sent: the newer job's will be.
    @discardableResult
    public func finish(job id: Int64, _ outcome: JobOutcome, at now: Date) throws -> JobState {
        try groupCommit { db in
            guard try String.fetchOne(db, sql: "SELECT state FROM job WHERE id = ?", arguments: [id]) == "running" else {
                throw StoreError(.notAllowed, "Job \(id) is not running.")
            }
            let superseded = try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM job WHERE supersedes = ?)", arguments: [id])!
            switch outcome {
            case .attemptLost(let reason):
                try Self.loseAttempt(of: id, reason: reason, at: now, in: db)
            case .interrupted:
                try db.execute(sql: "UPDATE job SET attempts = attempts - 1 WHERE id = ?", arguments: [id])
                try Self.loseAttempt(of: id, reason: "The node was stopped while the job ran.", at: now, in: db)
            case .failed(let reason):
                try Self.end(id, superseded ? .superseded : .failed, reason: reason, report: nil, at: now, in: db)
            case .refused(let reason):
                try Self.end(id, superseded ? .superseded : .refused, reason: reason, report: nil, at: now, in: db)
                if !superseded { try Self.reopenContest(lostBy: id, in: db) }
            case .withheld(let reason, let report):
                try Self.end(id, superseded ? .superseded : .withheld, reason: reason, report: report, at: now, in: db)
            case .succeeded(let results, let deliveries, let report):
                let reason = superseded ? "Later slices arrived while it ran; its results were not sent." : nil
                try Self.end(id, superseded ? .superseded : .succeeded, reason: reason, report: report, at: now, in: db)
                try Self.insert(results, of: id, superseded ? [] : deliveries, at: now, in: db)
            }
            return JobState(rawValue: try String.fetchOne(db, sql: "SELECT state FROM job WHERE id = ?", arguments: [id])!)!
        }
    }

    /// Queues an ended job again with all its attempts, or, when its results exist, sends again what was not delivered.
    public func retry(job id: Int64, at now: Date) throws {
        try groupCommit { db in
            guard let row = try Row.fetchOne(
                db,
                sql: "SELECT j.state, j.template_set, EXISTS (SELECT 1 FROM job n WHERE n.series = j.series AND n.id > j.id) AS newer FROM job j WHERE id = ?",
                arguments: [id])
            else { throw StoreError(.notFound, "There is no job \(id).") }
            let state = JobState(rawValue: row["state"])!
            switch state {
            case _ where row["newer"]:
                throw StoreError(.notAllowed, "Job \(id) has a newer job of the same series; retry that one.")
            case .failed, .refused, .withheld:
                guard row["template_set"] != nil else {
                    throw StoreError(.notAllowed, "Job \(id) only records why its series is not contoured; there is nothing to run.")
                }
                guard try !Bool.fetchOne(
                    db,
                    sql: """
                        SELECT EXISTS (SELECT 1 FROM job_instance ji JOIN instance i ON i.id = ji.instance
                            WHERE ji.job = ? AND i.deleted IS NOT NULL)
                        """, arguments: [id])!
                else { throw StoreError(.notAllowed, "Job \(id) cannot run again: retention deleted its instances; send them again first.") }
                try db.execute(
                    sql: "UPDATE job SET state = 'queued', attempts = 0, reason = NULL, started = NULL, ended = NULL WHERE id = ?",
                    arguments: [id])
            case .succeeded:
                try db.execute(
                    sql: """
                        UPDATE delivery SET state = 'pending', attempts = 0, created = ?1, next_attempt = ?1
                        WHERE state IN ('pending', 'failed') AND result IN (SELECT id FROM result WHERE job = ?2)
                        """,
                    arguments: [now.timeIntervalSince1970, id])
                guard db.changesCount > 0 else { throw StoreError(.notAllowed, "Job \(id) succeeded and all its results were sent.") }
            case .queued, .running, .superseded:
                throw StoreError(.notAllowed, "Job \(id) is \(state.rawValue); only an ended job can be retried.")
            }
        }
    }

    /// Takes an attempt from every running job but those; returns how many.
    static func loseAttempts(except alive: Set<Int64>, reason: String, at now: Date, in db: Database) throws -> Int {
        let lost = try Int64.fetchAll(db, sql: "SELECT id FROM job WHERE state = 'running'").filter { !alive.contains($0) }
        for job in lost { try loseAttempt(of: job, reason: reason, at: now, in: db) }
        return lost.count
    }

    private static func loseAttempt(of id: Int64, reason: String, at now: Date, in db: Database) throws {
        let row = try Row.fetchOne(
            db,
            sql: "SELECT attempts, max_attempts, EXISTS (SELECT 1 FROM job n WHERE n.supersedes = j.id) AS superseded FROM job j WHERE id = ?",
            arguments: [id])!
        if row["superseded"] {
            try end(id, .superseded, reason: reason, report: nil, at: now, in: db)
        } else if (row["attempts"] as Int) < row["max_attempts"] {
            try db.execute(sql: "UPDATE job SET state = 'queued', reason = ? WHERE id = ?", arguments: [reason, id])
        } else {
            let attempts: Int = row["attempts"]
            try end(id, .failed, reason: "\(reason) (attempt \(attempts) of \(attempts))", report: nil, at: now, in: db)
        }
    }

    private static func end(_ id: Int64, _ state: JobState, reason: String?, report: String?, at now: Date, in db: Database) throws {
        try db.execute(
            sql: "UPDATE job SET state = ?, reason = ?, report = coalesce(?, report), ended = ? WHERE id = ?",
            arguments: [state.rawValue, reason, report, now.timeIntervalSince1970, id])
    }

    private static func insert(_ results: [NewResult], of job: Int64, _ deliveries: [NewDelivery], at now: Date, in db: Database) throws {
        let ids = try results.map { result in
            try db.execute(
                sql: "INSERT INTO result (job, kind, name, specification, sop_class_uid, sop_instance_uid, path, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                arguments: [
                    job, result.kind, result.name, result.specification, result.sopClassUID, result.sopInstanceUID, result.path, result.digest,
                ])
            return db.lastInsertedRowID
        }
        for delivery in deliveries {
            let isOpen = delivery.condition == nil || delivery.condition == .decides
            try db.execute(
                sql: "INSERT INTO delivery (result, destination, condition, state, created, next_attempt) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    ids[delivery.result], delivery.destination, delivery.condition?.rawValue, isOpen ? "pending" : "standby",
                    now.timeIntervalSince1970, isOpen ? now.timeIntervalSince1970 : nil,
                ])
        }
    }
}
