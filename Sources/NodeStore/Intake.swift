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

/// An instance whose file lies complete at its final place.
public struct ReceivedInstance: Sendable {
    public let sopInstanceUID, sopClassUID, transferSyntaxUID, seriesInstanceUID, studyInstanceUID: String
    /// Tells patients apart without naming them.
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
}

/// What recording an instance came to.
public enum Recorded: Sendable, Equatable {
    /// A row was made.
    case new
    /// The same data set was there already, in the file of that path; the new file is not needed.
    case known(path: String)
    /// A row was made, and the older data set of that SOP Instance UID is kept but no longer current.
    case replacement
    /// A row was made in a series that is kept apart, for the reason given.
    case quarantined(String)
}

extension Store {
    /// Records an instance; returns once its row, its bytes by `flush`, and the entries in `directories` are on stable storage.
    ///
    /// All three are brought there at the same time. A power cut between them leaves at worst a row whose file is not whole, which
    /// `recover` finds, of an instance that nobody was told is safe. Where a flush fails, the instance counts as missing.
    public func record(
        _ instance: ReceivedInstance, of association: AssociationRecord, directories: [URL], at now: Date, flush: () throws -> Void = {}
    ) throws -> Recorded {
        var isFlushed = false
        func flushAll() throws {
            try flush()
            for directory in directories { try makeDurable(directory) }
            isFlushed = true
        }
        do { return try record(instance, of: association, at: now, beside: flushAll) } catch where !isFlushed {
            try groupCommit { try $0.execute(sql: "UPDATE instance SET state = 'missing' WHERE path = ?", arguments: [instance.path]) }
            throw error
        }
    }

    private func record(
        _ instance: ReceivedInstance, of association: AssociationRecord, at now: Date, beside flush: () throws -> Void
    ) throws -> Recorded {
        try groupCommit(beside: flush) { db in
            try db.execute(
                sql: "INSERT OR IGNORE INTO association (key, calling_ae, called_ae, peer, started) VALUES (?, ?, ?, ?, ?)",
                arguments: [association.key, association.callingAETitle, association.calledAETitle, association.peer, now.timeIntervalSince1970])
            let series = try Self.series(of: instance, at: now, in: db)
            try db.execute(sql: "INSERT OR IGNORE INTO series_association VALUES (?, ?)", arguments: [series.id, association.key])
            return try Self.insert(instance, into: series, from: association.key, at: now, in: db)
        }
    }

    /// Notes that an association is over; none of an association that recorded no instance.
    public func associationEnded(_ key: String, _ ending: AssociationEnding, at now: Date) throws {
        try groupCommit { db in
            try db.execute(
                sql: """
                    UPDATE association SET ended = ?, ending = ?,
                        ended_order = (SELECT coalesce(max(ended_order), 0) + 1 FROM association)
                    WHERE key = ? AND ended IS NULL
                    """,
                arguments: [now.timeIntervalSince1970, ending.rawValue, key])
        }
    }

    private struct SeriesRow {
        let id: Int64
        let state: SeriesState
        let reason: String?
    }

    private static func series(of instance: ReceivedInstance, at now: Date, in db: Database) throws -> SeriesRow {
        let identity: StatementArguments = [instance.seriesInstanceUID, instance.studyInstanceUID, instance.patientDigest]
        if let row = try Row.fetchOne(
            db, sql: "SELECT id, state, reason FROM series WHERE series_uid = ? AND study_uid = ? AND patient_digest = ?",
            arguments: identity)
        {
            return SeriesRow(id: row["id"], state: SeriesState(rawValue: row["state"])!, reason: row["reason"])
        }
        let clash = try clash(of: instance, in: db)
        let state: SeriesState = clash != nil ? .quarantined : instance.refusal != nil ? .ignored : .receiving
        let reason = clash ?? instance.refusal
        try db.execute(
            sql: "INSERT INTO series (series_uid, study_uid, patient_digest, state, reason, last_arrival) VALUES (?, ?, ?, ?, ?, ?)",
            arguments: identity + [state.rawValue, reason, now.timeIntervalSince1970])
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
    private static func clash(of instance: ReceivedInstance, in db: Database) throws -> String? {
        if try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM series WHERE study_uid = ? AND patient_digest <> ?)",
            arguments: [instance.studyInstanceUID, instance.patientDigest])!
        {
            return "Quarantined: study \(instance.studyInstanceUID) is already held for another patient identity."
        }
        if try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM series WHERE series_uid = ?)", arguments: [instance.seriesInstanceUID])!
        {
            return "Quarantined: series \(instance.seriesInstanceUID) is already held in another study."
        }
        return nil
    }

    private static func insert(
        _ instance: ReceivedInstance, into series: SeriesRow, from association: String, at now: Date, in db: Database
    ) throws -> Recorded {
        if let known = try Row.fetchOne(
            db, sql: "SELECT path, state FROM instance WHERE series = ? AND sop_instance_uid = ? AND digest = ?",
            arguments: [series.id, instance.sopInstanceUID, instance.digest]), known["state"] != "missing"
        {
            // A sender that starts over is still arriving: the series waits for it, though nothing new has come.
            try db.execute(
                sql: "UPDATE series SET last_arrival = ? WHERE id = ? AND state = 'receiving'",
                arguments: [now.timeIntervalSince1970, series.id])
            return .known(path: known["path"])
        }
        try db.execute(
            sql: "UPDATE instance SET state = 'replaced' WHERE series = ? AND sop_instance_uid = ? AND state = 'current'",
            arguments: [series.id, instance.sopInstanceUID])
        let replaces = db.changesCount > 0
        try db.execute(
            sql: """
                INSERT INTO instance (series, sop_instance_uid, sop_class_uid, transfer_syntax_uid, path, digest, size, received,
                    association, header, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'current')
                ON CONFLICT (series, sop_instance_uid, digest) DO UPDATE SET path = excluded.path, received = excluded.received,
                    association = excluded.association, state = 'current'
                """,
            arguments: [
                series.id, instance.sopInstanceUID, instance.sopClassUID, instance.transferSyntaxUID, instance.path, instance.digest,
                instance.size, now.timeIntervalSince1970, association, instance.header,
            ])
        // What can be contoured opens its series again, whatever else lies in it; a quarantined series stays shut.
        try db.execute(
            sql: """
                UPDATE series SET last_arrival = ?1,
                    state = CASE WHEN ?2 AND state <> 'quarantined' THEN 'receiving' ELSE state END,
                    reason = CASE WHEN ?2 AND state <> 'quarantined' THEN NULL ELSE reason END
                WHERE id = ?3
                """,
            arguments: [now.timeIntervalSince1970, instance.refusal == nil, series.id])
        if series.state == .quarantined { return .quarantined(series.reason ?? "") }
        return replaces ? .replacement : .new
    }
}
