import Foundation
import Logging
import NodeStore

/// Instances between their acknowledgement and their rows: durable as a file in `incoming/` and a record in the journal, moved to their
/// places and recorded many at a time.
final class Intake: @unchecked Sendable {
    /// How many instances make the wait end.
    private static let batch = 128

    private struct Waiting {
        let record: IntakeRecord
        let slot: Int
    }

    private let folder: DataFolder
    private let store: Store
    private let journal: IntakeJournal
    let files: IncomingFiles
    private let logger: Logger
    /// Milliseconds that an instance waits for others to be recorded with it.
    private let wait: Int
    /// Of all that varies.
    private let lock = NSCondition()
    private var claims: Set<String> = []
    private var waiting: [Waiting] = []
    private var isStopped = false
    /// Held while instances are put in their places.
    private let settling = NSLock()
    private let isFull = DispatchSemaphore(value: 0)

    /// Takes over a folder whose journal holds nothing that is not recorded.
    init(folder: DataFolder, store: Store, logger: Logger, wait: Int = 100) throws {
        (self.folder, self.store, self.logger, self.wait) = (folder, store, logger, wait)
        journal = try IntakeJournal(in: folder)
        files = IncomingFiles(in: folder)
        store.beforeLooking { [weak self] in self?.settled() ?? [] }
        let thread = Thread { [self] in run() }
        thread.name = "intake"
        thread.start()
    }

    /// Ends once all that waits is recorded, or cannot be.
    func stop() {
        do { try settle() } catch { logger.error("Instances are in the journal and not recorded; the next start does that: \(error)") }
        locked { isStopped = true }
        isFull.signal()
    }

    // MARK: Receiving

    /// Keeps a SOP Instance UID to the caller, once what came of it before is recorded. Ends with `release`, or when what was added is recorded.
    func claim(_ uid: String) throws {
        while !locked({ claims.insert(uid).inserted }) {
            try settle()
            lock.lock()
            if claims.contains(uid) { lock.wait() }
            lock.unlock()
        }
    }

    func release(_ uid: String) { locked { _ = claims.remove(uid) } }

    /// Makes an instance durable whose UID is claimed and not known: returns once its bytes are on stable storage, for which `awaitFlush` waits,
    /// and its record. False where the journal cannot take it.
    func add(_ record: IntakeRecord, awaitFlush: () throws -> Void) throws -> Bool {
        guard let slot = try journal.write(record) else { return false }
        do { try awaitFlush() } catch {
            try? journal.clear(slot)  // else the next start finds no file for it
            throw error
        }
        let count = locked {
            waiting.append(Waiting(record: record, slot: slot))
            return waiting.count
        }
        if count == Self.batch { isFull.signal() }
        return true
    }

    // MARK: Recording

    private func run() {
        var failed = false
        while true {
            let goesOn = {
                lock.lock()
                defer { lock.unlock() }
                while waiting.isEmpty, !isStopped { lock.wait() }
                return !isStopped
            }()
            guard goesOn else { return }
            _ = isFull.wait(timeout: .now() + .milliseconds(wait))
            do {
                try settle()
                try files.refill()
                failed = false
            } catch {
                if !failed { logger.error("Acknowledged instances cannot be recorded, which is tried again: \(error)") }
                failed = true
            }
        }
    }

    /// Records all that was acknowledged before the call; throws where some of it could not be, which stays in the journal.
    func settle() throws {
        settling.lock()
        defer { settling.unlock() }
        let batch = locked { waiting }
        guard !batch.isEmpty else { return }
        let results = try folder.settle(batch.map(\.record), in: store, logger: logger)
        let done = zip(batch, results).filter { $1 == nil }.map(\.0)
        let slots = Set(done.map(\.slot))
        locked {
            waiting.removeAll { slots.contains($0.slot) }
            claims.subtract(done.map(\.record.instance.sopInstanceUID))
        }
        journal.release(Array(slots))
        if let failure = results.compactMap(\.self).first { throw failure }
    }

    /// Settles what can be; the associations of which something cannot.
    private func settled() -> Set<String> {
        try? settle()  // its thread tries again, and logs why
        return Set(locked { waiting }.map(\.record.association.key))
    }

    private func locked<T>(_ body: () -> T) -> T {
        lock.lock()
        defer {
            lock.broadcast()
            lock.unlock()
        }
        return body()
    }
}

extension DataFolder {
    /// Moves instances to their places and records them, those that were moved before too; returns for each why it could not be, or nil.
    ///
    /// Throws where none could be recorded.
    func settle(_ records: [IntakeRecord], in store: Store, logger: Logger) throws -> [(any Error)?] {
        var folders: Set<String> = [], arrivals: [Arrival] = []
        var results = records.map { record -> (any Error)? in
            do {
                let place = try place(record.instance)
                folders.formUnion(place.folders)
                arrivals.append(Arrival(record.instance.placed(at: place.path), of: record.association, at: record.received))
                return nil
            } catch { return error }
        }
        for folder in folders { try makeDurable(URL(fileURLWithPath: folder)) }
        var outcomes = try store.record(arrivals).makeIterator()
        for index in results.indices where results[index] == nil {
            switch outcomes.next()! {
            case .failure(let error): results[index] = error
            case .success(.quarantined(let reason)):
                let record = records[index]
                logger.warning("Instance \(record.instance.sopInstanceUID) from \(record.association.callingAETitle) is kept apart. \(reason)")
            case .success: break
            }
            // Only now that its other name is on stable storage.
            if results[index] == nil { unlink("\(root.path)/\(records[index].instance.path)") }
        }
        return results
    }

    /// Gives an instance the name of its place, beside the one in `incoming/`, or finds it there where an attempt before came so far.
    private func place(_ instance: ReceivedInstance) throws -> (path: String, folders: [String]) {
        let series = "instances/\(instance.seriesInstanceUID)", folder = "\(root.path)/\(series)"
        for name in ["\(instance.sopInstanceUID).dcm", "\(instance.sopInstanceUID).\(instance.digest.prefix(16)).dcm"] {
            if try addName(name, in: folder, to: "\(root.path)/\(instance.path)") || isWhole(instance, at: "\(series)/\(name)") {
                return ("\(series)/\(name)", [folder, instances.path])
            }
        }
        throw NodeError(.dataFolder, "Instance \(instance.sopInstanceUID) is neither in \(instance.path) nor in \(series).")
    }

    private func isWhole(_ instance: ReceivedInstance, at path: String) -> Bool {
        condition(of: path, size: instance.size, digest: instance.digest) == .intact
    }

    /// Records what the run before acknowledged and had not recorded; returns how many. Before half files are removed.
    ///
    /// A record whose file is not whole was never acknowledged: record and file are flushed side by side.
    func replayJournal(into store: Store, logger: Logger) throws -> Int {
        let open = try IntakeJournal.records(in: self).filter { try !store.holds($0.instance.sopInstanceUID, digest: $0.instance.digest) }
        let whole = open.filter { record in
            let isThere = access("\(root.path)/\(record.instance.path)", F_OK) == 0
            return isThere ? isWhole(record.instance, at: record.instance.path) : (try? place(record.instance)) != nil
        }
        if open.count > whole.count { logger.notice("\(open.count - whole.count) instances were not whole when the node stopped: they were never acknowledged.") }
        if let failure = try settle(whole, in: store, logger: logger).compactMap(\.self).first { throw failure }
        return whole.count
    }
}
