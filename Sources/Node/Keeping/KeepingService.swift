import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle
import Synchronization

/// Watches the data folder, and deletes what retention gives free.
struct KeepingService: Service {
    let store: Store
    let folder: DataFolder
    let watch: FolderWatch
    let rule: RetentionRule
    let alarm = Alarm()
    let logger: Logger
    private let service = ServiceTime()

    /// Series deleted before the loop looks round again.
    private static let batch = 100

    /// Ends with an error when only a new start of the node helps.
    func run() async throws {
        let (failures, failed) = AsyncStream<any Error>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                await alarm.answer("keeping", logger: logger) {
                    do { try watch.demandOpenDatabase() } catch { failed.yield(error) }
                    return service.isDue(at: .now) ? try keep(at: Date()) : nil
                }
                failed.finish()
            }
            group.addTask { for await failure in failures { throw failure } }
            // Not waitForAll, which waits for the others before it throws.
            for try await _ in group {}
        }
    }

    /// Looks once; returns when to look again at the latest. `now` and `steady` are the same moment.
    func keep(at now: Date, steady: ContinuousClock.Instant = .now) throws -> Date? {
        guard watch.admission().folder else { return nil }
        let seconds = try service.seconds(at: steady, of: store)
        try store.noteUnneeded(at: seconds)
        for _ in 0..<Self.batch {
            guard let deletion = try store.delete(by: rule, at: seconds, now: now) else {
                service.rest(from: steady)
                return nil
            }
            do {
                try folder.remove(deletion.files, folders: deletion.folders)
                logger.info("Deleted \(deletion.files.count) files of series \(deletion.seriesInstanceUID). \(deletion.reason)")
            } catch { logger.error("Files of series \(deletion.seriesInstanceUID) are deleted on record and go at the next start: \(error)") }
        }
        return now
    }
}

/// For how long nodes have worked on a data folder, by a clock that runs with the machine and that nobody sets.
private final class ServiceTime: Sendable {
    /// Retention counts days; to look through a hundred thousand series takes a second.
    private static let rest = Duration.seconds(600)

    private let next = Mutex<ContinuousClock.Instant?>(nil)
    private let start = Mutex<(seconds: TimeInterval, instant: ContinuousClock.Instant)?>(nil)

    /// Whether it is time to look for what nothing needs any more.
    func isDue(at instant: ContinuousClock.Instant) -> Bool { next.withLock { $0.map { $0 <= instant } ?? true } }

    func rest(from instant: ContinuousClock.Instant) { next.withLock { $0 = instant + Self.rest } }

    /// Seconds of all runs at an instant of this one.
    func seconds(at instant: ContinuousClock.Instant, of store: Store) throws -> TimeInterval {
        let start = try start.withLock { start in
            let known = try start ?? (store.serviceSeconds(), instant)
            start = known
            return known
        }
        return start.seconds + start.instant.duration(to: instant) / .seconds(1)
    }
}

extension RetentionRule {
    init(_ settings: Configuration.Retention) {
        let days: [Case: Double?] = [
            .delivered: settings.deliveredDays, .notContoured: settings.notContouredDays, .failed: settings.failedDays,
            .quarantined: settings.quarantinedDays,
        ]
        self.init(days.compactMapValues { $0.map { $0 * 86400 } })
    }
}

extension DataFolder {
    /// Removes files and folders that the database says are deleted; those that are gone are none's loss. Durable on return.
    func remove(_ files: [String], folders: [String]) throws {
        var touched: Set<URL> = []
        for file in files.map({ root.appending(path: $0) }) {
            guard unlink(file.path) == 0 || errno == ENOENT else { throw NodeError(.dataFolder, "\(file.path) cannot be deleted: \(systemReason()).") }
            touched.insert(file.deletingLastPathComponent())
        }
        for place in folders.map({ root.appending(path: $0) }) {
            // In one step out of its name: half a folder of results would look like one to which something happened.
            let half = place.appendingPathExtension("part")
            guard rename(place.path, half.path) == 0 else {
                guard errno == ENOENT else { throw NodeError(.dataFolder, "\(place.path) cannot be deleted: \(systemReason()).") }
                continue
            }
            try FileManager.default.removeItem(at: half)
            touched.insert(place.deletingLastPathComponent())
        }
        for folder in touched where FileManager.default.fileExists(atPath: folder.path) { try makeDurable(folder) }
    }
}
