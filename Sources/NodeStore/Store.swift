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
    /// Writes that wait for the next group commit, and whether one is under way.
    private let group = Mutex<(waiting: [PendingWrite], isCommitting: Bool)>(([], false))
    /// Ends of associations that the database does not know yet.
    let ends = Mutex<[AssociationEnd]>([])
    /// Records what was acknowledged and has no row yet.
    private let acknowledged = Mutex<(@Sendable () -> [Unrecorded])?>(nil)

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

    /// Has something done before anything is said of which instances there are: to record those that were acknowledged and have no rows yet.
    /// It returns those that cannot be recorded now: nothing is said of them, their series and the ends of their associations.
    public func beforeLooking(_ record: @escaping @Sendable () -> [Unrecorded]) { acknowledged.withLock { $0 = record } }

    /// Those that stay without a row, of all that were acknowledged before the call.
    func recordAcknowledged() -> [Unrecorded] { acknowledged.withLock { $0 }?() ?? [] }

    // MARK: Group commit

    /// One write of a group, whose thread waits for it.
    private final class PendingWrite: Sendable {
        /// Runs in the group's transaction; its error undoes this write alone.
        let work: @Sendable (Database) throws -> Void
        /// Whether it has been committed, and the error if that failed; else its thread is to commit the next group.
        let outcome = Mutex<(isThrough: Bool, error: (any Error)?)>((false, nil))
        let signal = DispatchSemaphore(value: 0)

        init(_ work: @escaping @Sendable (Database) throws -> Void) { self.work = work }
    }

    /// Runs `work` in a transaction shared with whatever else waits, and returns once that is on stable storage.
    ///
    /// One disk flush serves all threads that wait for it. The first to come commits, on its own thread; those that come meanwhile
    /// are the next group, and the first of them commits that.
    func groupCommit<T: Sendable>(_ work: @escaping @Sendable (Database) throws -> T) throws -> T {
        let value = Mutex<T?>(nil)
        let own = PendingWrite { db in
            let result = try work(db)
            value.withLock { $0 = result }
        }
        let mustWait = group.withLock { group in
            group.waiting.append(own)
            defer { group.isCommitting = true }
            return group.isCommitting
        }
        if mustWait { own.signal.wait() }
        if !own.outcome.withLock({ $0.isThrough }) { commitWaiting() }
        if let error = own.outcome.withLock({ $0.error }) { throw error }
        return value.withLock { $0! }
    }

    /// Commits all that wait, the caller's among them, wakes their threads, and leaves the next group to one of its own.
    private func commitWaiting() {
        let writes = group.withLock { group in
            defer { group.waiting = [] }
            return group.waiting
        }
        let errors = commit(writes)
        let next = group.withLock { group in
            group.isCommitting = !group.waiting.isEmpty
            return group.waiting.first
        }
        next?.signal.signal()
        for (write, error) in zip(writes, errors) {
            write.outcome.withLock { $0 = (true, error) }
            write.signal.signal()
        }
    }

    private func commit(_ writes: [PendingWrite]) -> [(any Error)?] {
        var errors = [(any Error)?](repeating: nil, count: writes.count)
        do {
            try pool.write { db in
                // A write that is alone has the transaction to itself.
                if writes.count == 1 { return try writes[0].work(db) }
                for (index, write) in writes.enumerated() {
                    do {
                        try db.inSavepoint {
                            try write.work(db)
                            return .commit
                        }
                    } catch { errors[index] = error }
                }
            }
        } catch {
            errors = errors.map { $0 ?? error }
        }
        return errors
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
