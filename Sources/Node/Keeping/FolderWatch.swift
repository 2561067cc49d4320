import Foundation
import Logging
import NodeConfiguration
import NodeStore
import Synchronization

/// Looks whether the data folder is still the one the node started with and has room; tells the log when that changes.
///
/// Nothing may be written while it is not: an empty mount point would fill the disk below it, unseen when the disk is back.
final class FolderWatch: Sendable {
    /// What may be done with the folder now.
    struct Admission: Sendable, Equatable {
        /// It is the folder that the node started with.
        var folder = true
        /// New associations are welcome.
        var associations = true
        /// Files may be written.
        var instances = true
    }

    /// Where a folder or file lies; the same number on another device is another one.
    private struct Place: Equatable {
        let device: UInt64, number: UInt64

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            (device, number) = (UInt64(status.st_dev), UInt64(status.st_ino))
        }
    }

    private struct State {
        var root: Place?
        /// Why the folder cannot be used; nil while it can.
        var trouble: String?
        var isWarned = false, rejects = false, isFull = false
    }

    private let folder: DataFolder
    private let identity: String?
    private let database: Place?
    private let disk: Configuration.Disk
    private let minimum: Configuration.Watermark
    private let free: @Sendable () throws -> (bytes: Int64, percent: Double)
    private let logger: Logger
    private let state: Mutex<State>

    /// Watches a folder that the node has opened. Throws `dataFolder` where its identity cannot be read. `free` tells what is free on its disk; by default the disk is asked.
    init(
        _ folder: DataFolder, disk: Configuration.Disk, minimum: Configuration.Watermark, logger: Logger,
        free: (@Sendable () throws -> (bytes: Int64, percent: Double))? = nil
    ) throws {
        self.folder = folder
        self.disk = disk
        self.minimum = minimum
        self.logger = logger
        self.free = free ?? { try folder.freeSpace() }
        identity = try folder.identity()
        database = Place(folder.root.appending(path: "node.sqlite").path)
        state = Mutex(State(root: Place(folder.root.path)))
    }

    convenience init(_ folder: DataFolder, _ configuration: Configuration, logger: Logger) throws {
        try self.init(folder, disk: configuration.disk, minimum: configuration.receiving.minimumFree, logger: logger)
    }

    /// Looks now. Costs two system calls while all is well.
    func admission() -> Admission {
        state.withLock { state in
            let trouble = trouble(&state)
            if trouble != state.trouble {
                state.trouble = trouble
                if let trouble {
                    logger.error("\(trouble) C-STORE is answered 0xA700 until it is back.")
                } else {
                    logger.notice("The data folder \(folder.root.path) is back.")
                }
            }
            guard trouble == nil else { return Admission(folder: false, instances: false) }
            do { try measure(&state) } catch {
                logger.error("\(error)")
                return Admission(instances: false)
            }
            return Admission(associations: !state.rejects, instances: !state.isFull)
        }
    }

    /// Throws when the folder came back from elsewhere: the database that is open and the lock are not those on its disk, so that only a
    /// new start helps.
    func demandOpenDatabase() throws {
        guard let identity, identity == (try? folder.identity()), let now = Place(folder.root.appending(path: "node.sqlite").path), now != database else { return }
        throw NodeError(
            .dataFolder, "The data folder \(folder.root.path) came back on another file system, or its database was exchanged: the node must start anew.")
    }

    /// Why the folder cannot be used.
    private func trouble(_ state: inout State) -> String? {
        guard let place = Place(folder.root.path) else {
            return "The data folder \(folder.root.path) is gone: it was moved, or its disk is no longer mounted."
        }
        guard place != state.root else { return nil }
        guard let identity, (try? folder.identity()) == identity else {
            return "\(folder.root.path) is not the data folder that the node started with: that was moved, or its disk is no longer mounted."
        }
        state.root = place
        return nil
    }

    private func measure(_ state: inout State) throws {
        let free = try free()
        let amount = "The disk of \(folder.root.path) has \(free.bytes >> 20) MB (\(Int(free.percent)) %) left"
        func update(_ flag: inout Bool, _ mark: Configuration.Watermark, _ level: Logger.Level, below: String, above: String) {
            let was = flag
            flag = mark.isReached(by: free, margin: was ? disk.margin : nil)
            if flag, !was { logger.log(level: level, "\(amount), under the watermark of \(mark): \(below)") }
            if was, !flag { logger.notice("\(amount), over the watermark of \(mark) again: \(above)") }
        }
        update(&state.isWarned, disk.warn, .warning, below: "free some space, or let retention do it.", above: "no more warning.")
        update(&state.rejects, disk.reject, .error, below: "new associations are rejected as transient.", above: "associations are accepted.")
        update(&state.isFull, minimum, .error, below: "C-STORE is answered 0xA700 until there is room.", above: "instances are taken.")
    }
}

extension Configuration.Receiving {
    /// Below it C-STORE is answered 0xA700.
    var minimumFree: Configuration.Watermark { .init(megabytes: minimumFreeMegabytes, percent: minimumFreePercent) }
}

extension Configuration.Watermark {
    /// Whether a disk with that much free is under the mark, or, with a margin, not yet so much over it; a mark of zero never is reached.
    func isReached(by free: (bytes: Int64, percent: Double), margin: Configuration.Watermark? = nil) -> Bool {
        megabytes > 0 && free.bytes < Int64(megabytes + (margin?.megabytes ?? 0)) << 20
            || percent > 0 && free.percent < percent + (margin?.percent ?? 0)
    }
}
