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
    /// `files`: the paths of all files of instances and results that are there, relative to the data folder.
    public func recover(files: Set<String>, at now: Date) throws -> Recovery {
        try groupCommit { db in
            var recovery = Recovery()
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
            return recovery
        }
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
