import Foundation
import GRDB
import Synchronization

/// The node's memory: instances, series, jobs, results and deliveries in one SQLite file, `node.sqlite`, in the data folder.
///
/// WAL with synchronous=FULL: what a method has returned from survives a kill and a power cut. Several processes may
/// open it at once (`jobs list` beside `serve`). Methods block while they wait for the disk: call them from threads
/// that may.
public final class Store: Sendable {
    /// The folder that holds the database and all files it names.
    public let folder: URL
    let pool: DatabasePool
    /// Rows that wait for the next group commit.
    private let waiting = Mutex<[PendingWrite]>([])
    /// Ends of associations that the database does not know yet.
    let ends = Mutex<[AssociationEnd]>([])
    private let committer = DispatchQueue(label: "medlsam.store.commit")

    /// Opens the database of a data folder, making both when they are not there, and brings its schema up to date.
    ///
    /// `checking` reads the whole database through first; with `existing` it must hold tables already: to SQLite, a file that lost all but
    /// its beginning is a new database. Throws `damaged` for one that is broken, and `newer` for one that a later version of this program
    /// has changed; both are left as they are.
    public init(folder: URL, checking: Bool = false, existing: Bool = false) throws(StoreError) {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let path = folder.appending(path: "node.sqlite").path
            if FileManager.default.fileExists(atPath: path) { try Self.examine(path, checking: checking, existing: existing) }
            pool = try DatabasePool(path: path, configuration: Self.configuration())
            // GRDB sets NORMAL when it turns WAL on; a power cut could then take acknowledged instances with it.
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try Schema.migrator.migrate(pool)
        } catch {
            throw Self.opening(folder.appending(path: "node.sqlite").path, error)
        }
    }

    /// Opens a database to read it only, beside a running node or not.
    ///
    /// Throws `damaged` or `newer` as the other does, and `notAllowed` for one that an earlier version wrote: `serve` brings it up to date.
    public init(reading folder: URL) throws(StoreError) {
        self.folder = folder
        let path = folder.appending(path: "node.sqlite").path
        do {
            try Self.examine(path, checking: true, existing: true)
            var configuration = Self.configuration()
            configuration.readonly = true
            pool = try DatabasePool(path: path, configuration: configuration)
            guard try pool.read(Schema.migrator.hasCompletedMigrations) else {
                throw StoreError(.notAllowed, "\(path) was written by an earlier version of medlsam-node; `serve` brings it up to date.")
            }
        } catch {
            throw Self.opening(path, error)
        }
    }

    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.busyMode = .timeout(10)
        configuration.foreignKeysEnabled = true
        configuration.label = "node"
        return configuration
    }

    /// Looks at a database without writing to it.
    private static func examine(_ path: String, checking: Bool, existing: Bool) throws {
        var configuration = Self.configuration()
        configuration.readonly = true
        try DatabaseQueue(path: path, configuration: configuration).read { db in
            // An unknown migration means that a later program has been at work; what the schema now means, this one cannot know.
            guard try !Schema.migrator.hasBeenSuperseded(db) else {
                throw StoreError(.newer, "\(path) was written by a later version of medlsam-node: use that one, or a copy from before the upgrade.")
            }
            guard try !existing || !Schema.migrator.appliedIdentifiers(db).isEmpty else { throw damaged(path, "it holds no tables") }
            guard checking else { return }
            let findings = try String.fetchAll(db, sql: "PRAGMA quick_check(5)")
            guard findings == ["ok"] else { throw damaged(path, findings.joined(separator: "; ")) }
        }
    }

    /// Why a database could not be opened.
    private static func opening(_ path: String, _ error: any Error) -> StoreError {
        switch error {
        case let error as StoreError: error
        case let error as DatabaseError where [.SQLITE_NOTADB, .SQLITE_CORRUPT].contains(error.resultCode):
            damaged(path, error.message ?? "\(error.resultCode)")
        default: StoreError(.notOpened, "The database \(path) cannot be opened: \(error)")
        }
    }

    private static func damaged(_ path: String, _ why: String) -> StoreError {
        StoreError(.damaged, "\(path) is damaged (\(why)). Nothing was changed; docs/how-to/recover.md says how to go on.")
    }

    /// The writer's PRAGMA synchronous (2 is FULL) and journal mode, for tests and `doctor`.
    public func durability() throws -> (synchronous: Int, journal: String) {
        try pool.writeWithoutTransaction { db in
            (try Int.fetchOne(db, sql: "PRAGMA synchronous") ?? -1, try String.fetchOne(db, sql: "PRAGMA journal_mode") ?? "")
        }
    }

    // MARK: Group commit

    /// One write of a group: what to do in the transaction and after it.
    private struct PendingWrite: Sendable {
        /// Runs in the group's transaction; its error undoes this write alone.
        let work: @Sendable (Database) throws -> Void
        let finish: @Sendable ((any Error)?) -> Void
    }

    /// Runs `work` in a transaction shared with whatever else waits, and returns once that is on stable storage.
    ///
    /// One disk flush serves all associations that wait for it. `flush` runs beside the transaction on the caller's thread, and
    /// both must be through before this returns: when it throws, so does this, though the transaction may be through.
    func groupCommit<T: Sendable>(beside flush: () throws -> Void = {}, _ work: @escaping @Sendable (Database) throws -> T) throws -> T {
        let outcome = Mutex<Result<T, any Error>?>(nil)
        let done = DispatchSemaphore(value: 0)
        let pending = PendingWrite(
            work: { db in
                let value = try work(db)
                outcome.withLock { $0 = .success(value) }
            },
            finish: { error in
                if let error { outcome.withLock { $0 = .failure(error) } }
                done.signal()
            })
        waiting.withLock { $0.append(pending) }
        committer.async { self.commitWaiting() }
        let flushed = Result(catching: flush)
        done.wait()
        try flushed.get()
        return try outcome.withLock { $0! }.get()
    }

    private func commitWaiting() {
        let group = waiting.withLock { list in
            defer { list = [] }
            return list
        }
        guard !group.isEmpty else { return }
        var failures = [(any Error)?](repeating: nil, count: group.count)
        do {
            try pool.write { db in
                // A write that is alone has the transaction to itself.
                if group.count == 1 { return try group[0].work(db) }
                for (index, write) in group.enumerated() {
                    do {
                        try db.inSavepoint {
                            try write.work(db)
                            return .commit
                        }
                    } catch { failures[index] = error }
                }
            }
        } catch {
            failures = failures.map { $0 ?? error }
        }
        for (write, failure) in zip(group, failures) { write.finish(failure) }
    }
}

/// Brings a file's content, or a folder's entries, onto stable storage.
public func makeDurable(_ item: URL) throws {
    let descriptor = open(item.path, O_RDONLY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, fsync(descriptor) == 0 else {
        throw StoreError(.notDurable, "\(item.path) cannot be flushed: \(String(cString: strerror(errno))).")
    }
}
