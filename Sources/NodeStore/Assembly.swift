import Foundation
import GRDB

/// Where a series stands: still arriving, handed to a job, of no use for one, or kept apart for a person to look at.
public enum SeriesState: String, Sendable, Codable { case receiving, complete, ignored, quarantined }

/// A series that is still arriving, and the evidence about its end.
public struct SeriesInProgress: Sendable {
    public let id: Int64
    public let seriesInstanceUID: String
    public let studyInstanceUID: String
    /// The AE title of the latest association that brought some of it.
    public let source: String?
    public let lastArrival: Date
    /// Associations that brought instances of it and have not ended.
    public let openAssociations: Int
    /// When the latest of its associations ended, and how; nil while none has.
    public let lastEnd: Date?
    public let lastEnding: AssociationEnding?

    public init(
        id: Int64, seriesInstanceUID: String, studyInstanceUID: String = "", source: String? = nil, lastArrival: Date,
        openAssociations: Int, lastEnd: Date?, lastEnding: AssociationEnding?
    ) {
        self.id = id
        self.seriesInstanceUID = seriesInstanceUID
        self.studyInstanceUID = studyInstanceUID
        self.source = source
        self.lastArrival = lastArrival
        self.openAssociations = openAssociations
        self.lastEnd = lastEnd
        self.lastEnding = lastEnding
    }
}

extension Store {
    /// All series that are still arriving, but those of which something was acknowledged and cannot be recorded now.
    public func seriesInProgress() throws -> [SeriesInProgress] {
        let waiting = Set(try recordEnds().map(\.seriesInstanceUID))
        return try pool.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT s.id, s.series_uid, s.study_uid, s.last_arrival, count(*) FILTER (WHERE a.key IS NOT NULL AND a.ended IS NULL) AS open,
                        max(a.ended) AS last_end,
                        (SELECT b.ending FROM series_association sb JOIN association b ON b.key = sb.association
                            WHERE sb.series = s.id AND b.ended IS NOT NULL ORDER BY b.ended_order DESC LIMIT 1) AS ending,
                        (SELECT b.calling_ae FROM series_association sb JOIN association b ON b.key = sb.association
                            WHERE sb.series = s.id ORDER BY b.ended IS NULL DESC, b.ended_order DESC LIMIT 1) AS source
                    FROM series s LEFT JOIN series_association sa ON sa.series = s.id LEFT JOIN association a ON a.key = sa.association
                    WHERE s.state = 'receiving' GROUP BY s.id ORDER BY s.id
                    """
            ).map { row in
                SeriesInProgress(
                    id: row["id"], seriesInstanceUID: row["series_uid"], studyInstanceUID: row["study_uid"], source: row["source"],
                    lastArrival: date(row["last_arrival"])!,
                    openAssociations: row["open"], lastEnd: date(row["last_end"]),
                    lastEnding: (row["ending"] as String?).flatMap(AssociationEnding.init))
            }.filter { !waiting.contains($0.seriesInstanceUID) }
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
    /// `selection`: why the series was selected, as JSON; `instances`: those to be read, by SOP Instance UID, nil for all. Nothing happens, and nil returns, when an instance came after `lastArrival`:
    /// the decision rests on old evidence then. A queued job of the series becomes superseded at once; a running one goes on, and is
    /// superseded when it ends.
    public func complete(
        series id: Int64, lastArrival: Date, evidence: String, selection: String? = nil, templateSet: String, instances: [String]? = nil,
        maximumAttempts: Int, at now: Date
    ) throws -> Int64? {
        try decide(about: id) { db in
            guard try Self.close(id, lastArrival: lastArrival, in: db) else { return nil }
            let job = NewJob(
                series: id, state: .queued, templateSet: templateSet, instances: instances, maximumAttempts: maximumAttempts, evidence: evidence, selection: selection)
            return try Self.insert(job, at: now, in: db)
        }
    }

    /// Decides about a series in one transaction, once all that was acknowledged is recorded; throws `notRecorded` where some of it cannot be.
    func decide<T: Sendable>(about series: Int64, _ work: @escaping @Sendable (Database) throws -> T) throws -> T {
        let unrecorded = Set(recordAcknowledged().map(\.seriesInstanceUID))
        return try groupCommit { db in
            if !unrecorded.isEmpty, let uid = try String.fetchOne(db, sql: "SELECT series_uid FROM series WHERE id = ?", arguments: [series]),
                unrecorded.contains(uid)
            { throw StoreError(.notRecorded, "Instances of series \(uid) were received and cannot be recorded yet.") }
            return try work(db)
        }
    }

    /// Takes a series out of those in progress; false when an instance came after `lastArrival`.
    static func close(_ series: Int64, lastArrival: Date, in db: Database) throws -> Bool {
        try db.execute(
            sql: "UPDATE series SET state = 'complete' WHERE id = ? AND state = 'receiving' AND last_arrival = ?",
            arguments: [series, lastArrival.timeIntervalSince1970])
        return db.changesCount == 1
    }

    /// A job to be made of current instances of a series; of all where `instances` is nil.
    struct NewJob {
        let series: Int64
        let state: JobState
        var reason: String?
        /// Nil where there is nothing that could be run.
        let templateSet: String?
        var instances: [String]?
        let maximumAttempts: Int
        let evidence, selection: String?
        /// The job that it supersedes; nil for the newest of its own series.
        var supersedes: Int64?
    }

    /// Makes a job in place of the series' earlier ones; returns its number.
    static func insert(_ job: NewJob, at now: Date, in db: Database) throws -> Int64 {
        let earlier = try job.supersedes ?? Int64.fetchOne(db, sql: "SELECT max(id) FROM job WHERE series = ?", arguments: [job.series])
        try db.execute(
            sql: """
                UPDATE job SET state = 'superseded', ended = ?1,
                    reason = iif(series = ?2, 'Later slices arrived.', 'A better series of the study arrived.')
                WHERE (series = ?2 OR id = ?3) AND state = 'queued'
                """,
            arguments: [now.timeIntervalSince1970, job.series, job.supersedes])
        try db.execute(
            sql: """
                INSERT INTO job (series, state, reason, template_set, max_attempts, created, ended, supersedes, evidence, selection)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                job.series, job.state.rawValue, job.reason, job.templateSet, job.maximumAttempts, now.timeIntervalSince1970,
                job.state == .queued ? nil : now.timeIntervalSince1970, earlier, job.evidence, job.selection,
            ])
        let id = db.lastInsertedRowID
        try db.execute(
            sql: """
                INSERT INTO job_instance (job, instance) SELECT ?1, id FROM instance WHERE series = ?2 AND state = 'current'
                    AND (?3 IS NULL OR sop_instance_uid IN (SELECT value FROM json_each(?3)))
                """,
            arguments: [id, job.series, try job.instances.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }])
        return id
    }
}

/// A time as the database holds it.
func date(_ seconds: Double?) -> Date? { seconds.map { Date(timeIntervalSince1970: $0) } }
