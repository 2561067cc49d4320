import Foundation
import GRDB

/// What a start found left over from the run before.
public struct Recovery: Sendable {
    /// Associations that the run before had not seen end.
    public var lostAssociations = 0
    /// Jobs that were running; each has lost that attempt.
    public var interruptedJobs = 0
    /// Instances whose file is gone, by path.
    public var missingFiles: [String] = []
    /// Instances whose file was gone at an earlier start and is there again; `restore` those that are what they were.
    public var returnedFiles: [StoredInstance] = []
    /// The last instances of associations that had not ended: a power cut may have come between row and file, so look at each, and
    /// `lose` those that are not whole. No peer was told that they are safe.
    public var unsettled: [StoredInstance] = []
    /// Results whose file is gone, by path.
    public var missingResults: [String] = []
    /// Files of instances that no row names, by path.
    public var unrecordedFiles: [String] = []
    /// Files and folders that retention gave free and that are still there, by path.
    public var unfinishedDeletions: [String] = []
}

extension Store {
    /// Brings the database to terms with the end of the run before. Only the process that holds the data folder may call it.
    ///
    /// `files`: the paths of all files of instances, results and rejected objects that are there, relative to the data folder.
    public func recover(files: Set<String>, at now: Date) throws -> Recovery {
        try groupCommit { db in
            var recovery = Recovery()
            recovery.unsettled = try Self.unsettled(in: db)
            try db.execute(
                sql: """
                    UPDATE association SET ended = ?, ending = 'lost', ended_order = (SELECT coalesce(max(ended_order), 0) + 1 FROM association)
                    WHERE ended IS NULL
                    """, arguments: [now.timeIntervalSince1970])
            recovery.lostAssociations = db.changesCount
            recovery.interruptedJobs = try Self.loseAttempts(except: [], reason: "The node stopped while the job ran.", at: now, in: db)
            try Self.reconcileInstances(with: files, in: db, &recovery)
            for row in try Row.fetchAll(db, sql: "SELECT path, deleted IS NOT NULL AS deleted FROM result ORDER BY path") {
                let path: String = row["path"]
                if row["deleted"] {
                    if files.contains(path) { recovery.unfinishedDeletions.append((path as NSString).deletingLastPathComponent) }
                } else if !files.contains(path) {
                    recovery.missingResults.append(path)
                }
            }
            // Rejected objects have no rows: they went with the instances of their job's series.
            for folder in Set(files.filter { $0.hasPrefix("rejected/") }.map { ($0 as NSString).deletingLastPathComponent }).sorted() {
                guard let job = Int64(folder.dropFirst("rejected/".count)), try Self.isDeleted(job, in: db) else { continue }
                recovery.unfinishedDeletions.append(folder)
            }
            return recovery
        }
    }

    /// Whether retention has deleted the series of a job.
    private static func isDeleted(_ job: Int64, in db: Database) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM instance i JOIN job j ON j.series = i.series WHERE j.id = ?1 AND i.deleted IS NOT NULL)
                    AND NOT EXISTS (SELECT 1 FROM instance i JOIN job j ON j.series = i.series WHERE j.id = ?1 AND i.state <> 'missing')
                """, arguments: [job])!
    }

    private static func reconcileInstances(with files: Set<String>, in db: Database, _ recovery: inout Recovery) throws {
        var unrecorded = files.filter { $0.hasPrefix("instances/") }
        let rows = try Row.fetchCursor(db, sql: "SELECT \(StoredInstance.columns) FROM instance ORDER BY id")
        var missing: [Int64] = []
        while let row = try rows.next() {
            let path: String = row["path"], isMissing = row["state"] == "missing"
            switch (isMissing, unrecorded.remove(path) != nil) {
            case (false, true), (true, false): break
            case (false, false):
                missing.append(row["id"])
                recovery.missingFiles.append(path)
            case (true, true):
                let instance = StoredInstance(row)
                if instance.deleted == nil { recovery.returnedFiles.append(instance) } else { recovery.unfinishedDeletions.append(path) }
            }
        }
        for id in missing { try db.execute(sql: "UPDATE instance SET state = 'missing' WHERE id = ?", arguments: [id]) }
        recovery.unrecordedFiles = unrecorded.sorted()
    }

    /// More than one association can have on their way, whatever window of operations it negotiated.
    private static let unsettledPerAssociation = 64

    private static func unsettled(in db: Database) throws -> [StoredInstance] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT \(StoredInstance.columns) FROM (
                    SELECT i.*, row_number() OVER (PARTITION BY i.association ORDER BY i.received DESC, i.id DESC) AS turn
                    FROM instance i JOIN association a ON a.key = i.association WHERE a.ended IS NULL AND i.state <> 'missing')
                WHERE turn <= ? ORDER BY id
                """, arguments: [unsettledPerAssociation]
        ).map(StoredInstance.init)
    }

    /// Takes an instance whose file is not what was received out of those that count.
    public func lose(_ instance: StoredInstance) throws {
        try groupCommit { try $0.execute(sql: "UPDATE instance SET state = 'missing' WHERE id = ?", arguments: [instance.id]) }
    }

    /// Lets an instance count again whose file came back as it was.
    public func restore(_ instance: StoredInstance) throws {
        try groupCommit { db in
            try db.execute(
                sql: """
                    UPDATE instance SET state = CASE WHEN EXISTS (SELECT 1 FROM instance o WHERE o.series = instance.series
                        AND o.sop_instance_uid = instance.sop_instance_uid AND o.state = 'current') THEN 'replaced' ELSE 'current' END
                    WHERE id = ? AND state = 'missing' AND deleted IS NULL
                    """, arguments: [instance.id])
        }
    }
}
