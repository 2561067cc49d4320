import Foundation
import GRDB

/// What a start found left over from the run before.
public struct Recovery: Sendable, Equatable {
    /// Associations that the run before had not seen end.
    public var lostAssociations = 0
    /// Jobs that were running; each has lost that attempt.
    public var interruptedJobs = 0
    /// Instances whose file is gone, by path.
    public var missingFiles: [String] = []
    /// Files that no row names, by path.
    public var unrecordedFiles: [String] = []
}

extension Store {
    /// Brings the database to terms with the end of the run before. Only the process that holds the data folder may call it.
    ///
    /// `files`: the paths of all instance files that are there, relative to the data folder.
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
            let rows = try Row.fetchAll(db, sql: "SELECT id, path, state FROM instance")
            for row in rows where row["state"] != "missing" && !files.contains(row["path"]) {
                try db.execute(sql: "UPDATE instance SET state = 'missing' WHERE id = ?", arguments: [row["id"] as Int64])
                recovery.missingFiles.append(row["path"])
            }
            recovery.unrecordedFiles = files.subtracting(rows.map { $0["path"] }).sorted()
            return recovery
        }
    }
}
