import Foundation
import GRDB

/// An association as the store knows it; `key` is unique over all runs of the node.
public struct AssociationRecord: Sendable {
    public let key, callingAETitle, calledAETitle, peer: String

    public init(key: String, callingAETitle: String, calledAETitle: String, peer: String) {
        self.key = key
        self.callingAETitle = callingAETitle
        self.calledAETitle = calledAETitle
        self.peer = peer
    }
}

/// How an association ended: by release, by abort or a broken connection, or with the node itself.
public enum AssociationEnding: String, Sendable, Codable { case released, aborted, lost }

/// The end of an association that is still to be recorded.
struct AssociationEnd: Sendable {
    let key: String
    let ending: AssociationEnding
    let time: Date
}

/// An instance whose file lies complete at its final place.
public struct ReceivedInstance: Sendable {
    public let sopInstanceUID, sopClassUID, transferSyntaxUID, seriesInstanceUID, studyInstanceUID: String
    /// Tells patients apart without naming them: the text of a `PatientIdentity`.
    public let patientDigest: String
    /// SHA-256 of the data set, in hexadecimal.
    public let digest: String
    /// Bytes of the file.
    public let size: Int
    /// Relative to the data folder.
    public let path: String
    /// What assembling needs of the header, encoded by the caller.
    public let header: Data
    /// Why no job can come of such an instance; nil when one can.
    public let refusal: String?

    public init(
        sopInstanceUID: String, sopClassUID: String, transferSyntaxUID: String, seriesInstanceUID: String, studyInstanceUID: String,
        patientDigest: String, digest: String, size: Int, path: String, header: Data, refusal: String?
    ) {
        self.sopInstanceUID = sopInstanceUID
        self.sopClassUID = sopClassUID
        self.transferSyntaxUID = transferSyntaxUID
        self.seriesInstanceUID = seriesInstanceUID
        self.studyInstanceUID = studyInstanceUID
        self.patientDigest = patientDigest
        self.digest = digest
        self.size = size
        self.path = path
        self.header = header
        self.refusal = refusal
    }

    /// The same at another path.
    public func placed(at path: String) -> ReceivedInstance {
        ReceivedInstance(
            sopInstanceUID: sopInstanceUID, sopClassUID: sopClassUID, transferSyntaxUID: transferSyntaxUID, seriesInstanceUID: seriesInstanceUID,
            studyInstanceUID: studyInstanceUID, patientDigest: patientDigest, digest: digest, size: size, path: path, header: header,
            refusal: refusal)
    }
}

/// An instance that came over an association.
public struct Arrival: Sendable {
    public let instance: ReceivedInstance
    public let association: AssociationRecord
    public let received: Date

    public init(_ instance: ReceivedInstance, of association: AssociationRecord, at received: Date) {
        (self.instance, self.association, self.received) = (instance, association, received)
    }
}

/// An instance that was acknowledged and cannot be recorded for now.
public struct Unrecorded: Sendable {
    public let sopInstanceUID, seriesInstanceUID: String
    /// The key of the association that brought it.
    public let association: String

    public init(_ arrival: Arrival) {
        (sopInstanceUID, seriesInstanceUID) = (arrival.instance.sopInstanceUID, arrival.instance.seriesInstanceUID)
        association = arrival.association.key
    }
}

/// What recording an instance came to.
public enum Recorded: Sendable, Equatable {
    /// A row was made.
    case new
    /// The same data set was there already, in the file of that path and size; the new file is needed only where that one is gone.
    case known(path: String, size: Int)
    /// The same data set was there until retention deleted it at that time: it is there again, and makes no work.
    case restored(deleted: Date)
    /// A row was made, and the older data set of that SOP Instance UID is kept but no longer current.
    case replacement
    /// A row was made, and the older data set of that SOP Instance UID stays current.
    case keptBehindFirst
    /// No row was made, for another data set has that SOP Instance UID; the new file is not to be kept.
    case refused
    /// A row was made in a series that is kept apart, for the reason given.
    case quarantined(String)
}

extension Store {
    /// Records an instance; returns once its row is on stable storage, and its bytes and its name, which `awaitFlush` waits for.
    ///
    /// All three are brought there at the same time. A power cut between them leaves at worst a row whose file is not whole, which
    /// `recover` finds, of an instance that nobody was told is safe. Where a flush fails, the instance counts as missing.
    public func record(
        _ instance: ReceivedInstance, of association: AssociationRecord, conflicts policy: ConflictPolicy = .keepLast, at now: Date,
        awaitFlush: () throws -> Void = {}
    ) throws -> Recorded {
        let outcome = try record(instance, of: association, policy, at: now)
        do { try awaitFlush() } catch {
            try groupCommit { try $0.execute(sql: "UPDATE instance SET state = 'missing' WHERE path = ?", arguments: [instance.path]) }
            throw error
        }
        return outcome
    }

    /// Records instances whose bytes and names are on stable storage, in one transaction; what fails alone fails for itself.
    public func record(_ arrivals: [Arrival]) throws -> [Result<Recorded, any Error>] {
        guard !arrivals.isEmpty else { return [] }
        return try groupCommit { db in
            try arrivals.map { arrival in
                var recorded = Recorded.new
                do {
                    try db.inSavepoint {
                        recorded = try Self.record(arrival.instance, of: arrival.association, .keepLast, at: arrival.received, in: db)
                        return .commit
                    }
                } catch {
                    // SQLite has ended the transaction by itself where the disk is full or broken.
                    guard db.isInsideTransaction else { throw error }
                    return .failure(error)
                }
                return .success(recorded)
            }
        }
    }

    /// Whether an error is of what was to be recorded alone, and not of the database or its disk.
    public static func isOfOneRecord(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return !(error is StoreError) }
        return [.SQLITE_CONSTRAINT, .SQLITE_MISMATCH, .SQLITE_TOOBIG].contains(error.resultCode)
    }

    private func record(
        _ instance: ReceivedInstance, of association: AssociationRecord, _ policy: ConflictPolicy, at now: Date
    ) throws -> Recorded {
        try groupCommit { try Self.record(instance, of: association, policy, at: now, in: $0) }
    }

    private static func record(
        _ instance: ReceivedInstance, of association: AssociationRecord, _ policy: ConflictPolicy, at now: Date, in db: Database
    ) throws -> Recorded {
        try db.run(
            "INSERT OR IGNORE INTO association (key, calling_ae, called_ae, peer, started) VALUES (?, ?, ?, ?, ?)",
            [association.key, association.callingAETitle, association.calledAETitle, association.peer, now.timeIntervalSince1970])
        let versions = try Version.all(of: instance.sopInstanceUID, in: db)
        if policy == .refuse, let held = Version.conflict(with: instance, in: versions) {
            try note(conflictOf: instance, with: held.id, .refused, from: association.key, at: now, in: db)
            return .refused
        }
        let series = try series(of: instance, at: now, in: db)
        try db.run("INSERT OR IGNORE INTO series_association VALUES (?, ?)", [series.id, association.key])
        return try insert(instance, beside: versions, into: series, from: association.key, policy, at: now, in: db)
    }

    /// Whether a row, of whatever state, has a SOP Instance UID, with that digest if one is given.
    public func holds(_ sopInstanceUID: String, digest: String? = nil) throws -> Bool {
        try pool.unsafeRead { db in
            try Bool.fetchOne(
                db.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM instance WHERE sop_instance_uid = ?1 AND (?2 IS NULL OR digest = ?2))"),
                arguments: [sopInstanceUID, digest])!
        }
    }

    /// Notes that an association is over; none of an association that recorded no instance.
    ///
    /// Where the disk refuses, this throws, but the end is not forgotten: it is tried again by `recordEnds`.
    public func associationEnded(_ key: String, _ ending: AssociationEnding, at now: Date) throws {
        ends.withLock { $0.append(AssociationEnd(key: key, ending: ending, time: now)) }
        try recordEnds()
    }

    /// Records the ends of associations that could not be recorded when they came. A series waits for them, and they for the rows of all that
    /// their associations brought; returns what has none.
    @discardableResult func recordEnds() throws -> [Unrecorded] {
        let all = ends.withLock { $0 }, unrecorded = recordAcknowledged(), open = Set(unrecorded.map(\.association))
        let due = all.filter { !open.contains($0.key) }
        guard !due.isEmpty else { return unrecorded }
        try groupCommit { db in
            for end in due {
                try db.execute(
                    sql: """
                        UPDATE association SET ended = ?, ending = ?,
                            ended_order = (SELECT coalesce(max(ended_order), 0) + 1 FROM association)
                        WHERE key = ? AND ended IS NULL
                        """,
                    arguments: [end.time.timeIntervalSince1970, end.ending.rawValue, end.key])
            }
        }
        let recorded = Set(due.map(\.key))
        ends.withLock { $0.removeAll { recorded.contains($0.key) } }
        return unrecorded
    }

    private struct SeriesRow {
        let id: Int64
        let state: SeriesState
        let reason: String?
    }

    /// One of the contents that came under a SOP Instance UID.
    private struct Version {
        let id, series: Int64
        let digest, path, state: String
        let size: Int
        let deleted: Date?

        static func all(of uid: String, in db: Database) throws -> [Version] {
            try db.rows(
                "SELECT id, series, digest, path, state, size, deleted FROM instance WHERE sop_instance_uid = ? ORDER BY id", [uid]
            ).map { row in
                Version(
                    id: row["id"], series: row["series"], digest: row["digest"], path: row["path"], state: row["state"],
                    size: row["size"], deleted: date(row["deleted"]))
            }
        }

        /// The content that another one must reckon with: held or deleted in good order. One whose file was lost has no claim.
        static func conflict(with instance: ReceivedInstance, in versions: [Version]) -> Version? {
            guard !versions.contains(where: { $0.digest == instance.digest }) else { return nil }
            return versions.first { $0.state == "current" } ?? versions.last { $0.state != "missing" || $0.deleted != nil }
        }
    }

    private static func series(of instance: ReceivedInstance, at now: Date, in db: Database) throws -> SeriesRow {
        let patient = PatientIdentity(rawValue: instance.patientDigest)
        let rows = try db.rows(
            "SELECT id, state, reason, patient_digest FROM series WHERE series_uid = ? AND study_uid = ? ORDER BY id",
            [instance.seriesInstanceUID, instance.studyInstanceUID])
        let same = rows.filter { PatientIdentity(rawValue: $0["patient_digest"]).isSame(as: patient) }
        if let row = same.first(where: { $0["patient_digest"] == instance.patientDigest }) ?? same.first(where: { $0["state"] != "quarantined" })
            ?? same.first
        {
            return SeriesRow(id: row["id"], state: SeriesState(rawValue: row["state"])!, reason: row["reason"])
        }
        let clash = try clash(of: instance, patient, in: db)
        let state: SeriesState = clash != nil ? .quarantined : instance.refusal != nil ? .ignored : .receiving
        let reason = clash ?? instance.refusal
        try db.execute(
            sql: "INSERT INTO series (series_uid, study_uid, patient_digest, state, reason, last_arrival) VALUES (?, ?, ?, ?, ?, ?)",
            arguments: [
                instance.seriesInstanceUID, instance.studyInstanceUID, instance.patientDigest, state.rawValue, reason, now.timeIntervalSince1970,
            ])
        let id = db.lastInsertedRowID
        // Such a series gets no work, but a person who looks for it finds it, and why, where the jobs are.
        if let reason {
            try db.execute(
                sql: "INSERT INTO job (series, state, reason, max_attempts, created, ended) VALUES (?, 'refused', ?, 1, ?, ?)",
                arguments: [id, reason, now.timeIntervalSince1970, now.timeIntervalSince1970])
        }
        return SeriesRow(id: id, state: state, reason: reason)
    }

    /// Why a series that is not known yet cannot be trusted: its UIDs are taken by another patient or study.
    ///
    /// Only series that are trusted have a claim: a second one of the rightful patient is not held up by an intruder.
    private static func clash(of instance: ReceivedInstance, _ patient: PatientIdentity, in db: Database) throws -> String? {
        let held = try String.fetchAll(
            db, sql: "SELECT DISTINCT patient_digest FROM series WHERE study_uid = ? AND state <> 'quarantined'",
            arguments: [instance.studyInstanceUID])
        if !held.isEmpty, !held.contains(where: { PatientIdentity(rawValue: $0).isSame(as: patient) }) {
            return "Quarantined: study \(instance.studyInstanceUID) is already held for another patient identity."
        }
        if try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM series WHERE series_uid = ? AND state <> 'quarantined')",
            arguments: [instance.seriesInstanceUID])!
        {
            return "Quarantined: series \(instance.seriesInstanceUID) is already held in another study."
        }
        return nil
    }

    private static func insert(
        _ instance: ReceivedInstance, beside versions: [Version], into series: SeriesRow, from association: String, _ policy: ConflictPolicy,
        at now: Date, in db: Database
    ) throws -> Recorded {
        let same = versions.first { $0.series == series.id && $0.digest == instance.digest }
        if let same, same.state != "missing" {
            // A sender that starts over is still arriving: the series waits for it, though nothing new has come.
            try db.execute(
                sql: "UPDATE series SET last_arrival = ? WHERE id = ? AND state = 'receiving'",
                arguments: [now.timeIntervalSince1970, series.id])
            return .known(path: same.path, size: same.size)
        }
        let current = versions.first { $0.series == series.id && $0.state == "current" }
        // Of two contents one deleted and come again keeps its turn; one never seen is the latest.
        let isLater = same.map { $0.id > current?.id ?? 0 } ?? true
        let counts = current == nil || isLater == (policy != .keepFirst)
        if counts, let current { try db.execute(sql: "UPDATE instance SET state = 'replaced' WHERE id = ?", arguments: [current.id]) }
        try db.run(
            """
                INSERT INTO instance (series, sop_instance_uid, sop_class_uid, transfer_syntax_uid, path, digest, size, received,
                    association, header, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (series, sop_instance_uid, digest) DO UPDATE SET path = excluded.path, received = excluded.received,
                    association = excluded.association, state = excluded.state, deleted = NULL, deletion = NULL
                """,
            [
                series.id, instance.sopInstanceUID, instance.sopClassUID, instance.transferSyntaxUID, instance.path, instance.digest,
                instance.size, now.timeIntervalSince1970, association, instance.header, counts ? "current" : "replaced",
            ])
        if let held = Version.conflict(with: instance, in: versions) {
            let outcome: Conflict.Outcome = held.series != series.id ? .keptBeside : counts ? .replaced : .keptFirst
            try note(conflictOf: instance, with: held.id, outcome, from: association, at: now, in: db)
        }
        // What can be contoured opens its series again, whatever else lies in it; a quarantined series stays shut, and what has been
        // contoured, or deleted as done with, before it came again needs no second job.
        let isDone = try same.map { try $0.deleted != nil || hasJob($0.id, in: db) } ?? false
        let opens = instance.refusal == nil && counts && !isDone && series.state != .quarantined
        try db.run("UPDATE series SET last_arrival = ? WHERE id = ?", [now.timeIntervalSince1970, series.id])
        if opens, series.state != .receiving || series.reason != nil {
            try db.run("UPDATE series SET state = 'receiving', reason = NULL WHERE id = ?", [series.id])
        }
        if series.state == .quarantined { return .quarantined(series.reason ?? "") }
        if let deleted = same?.deleted { return .restored(deleted: deleted) }
        return !counts ? .keptBehindFirst : current != nil ? .replacement : .new
    }

    /// Whether an instance's content went, or will go, into contours.
    private static func hasJob(_ instance: Int64, in db: Database) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM job_instance ji JOIN job j ON j.id = ji.job
                    WHERE ji.instance = ? AND j.state IN ('queued', 'running', 'succeeded', 'withheld'))
                """,
            arguments: [instance])!
    }

    /// Notes the size of an instance's file where another one with the same data set, but other file meta information, took its place.
    public func replaced(fileAt path: String, size: Int) throws {
        try groupCommit { try $0.execute(sql: "UPDATE instance SET size = ? WHERE path = ?", arguments: [size, path]) }
    }
}

/// Statements that run for every instance, prepared once a connection.
extension Database {
    fileprivate func run(_ sql: String, _ arguments: StatementArguments) throws { try cachedStatement(sql: sql).execute(arguments: arguments) }

    fileprivate func rows(_ sql: String, _ arguments: StatementArguments) throws -> [Row] {
        try Row.fetchAll(cachedStatement(sql: sql), arguments: arguments)
    }
}
