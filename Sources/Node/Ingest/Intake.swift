import Foundation
import Logging
import NodeStore

/// Instances between their acknowledgement and their rows: durable as a file in `incoming/` and a record in the journal, moved to their
/// places and recorded many at a time.
///
/// Where some cannot be recorded it is behind, and takes no more until it has caught up: what comes then is acknowledged by its row.
final class Intake: @unchecked Sendable {
    /// How many instances make the wait end.
    private static let batch = 128
    /// Milliseconds from a failure to the next attempt.
    private static let retry = 1000

    private struct Waiting {
        let record: IntakeRecord
        let slot: Int
    }

    private let folder: DataFolder
    private let store: Store
    let journal: IntakeJournal
    let files: IncomingFiles
    private let logger: Logger
    /// Milliseconds that an instance waits for others to be recorded with it.
    private let wait: Int
    /// Of all that varies.
    private let lock = NSCondition()
    private var claims: Set<String> = []
    private var waiting: [Waiting] = []
    private var isBehind = false
    private var isStopped = false
    /// Held while instances are put in their places.
    private let settling = NSLock()
    private let isFull = DispatchSemaphore(value: 0)

    /// Takes over a folder that was opened: its journal holds nothing that is not recorded.
    init(folder: DataFolder, store: Store, logger: Logger, wait: Int = 100) throws {
        (self.folder, self.store, self.logger, self.wait) = (folder, store, logger, wait)
        journal = try IntakeJournal(in: folder)
        files = IncomingFiles(in: folder)
        store.beforeLooking { [weak self] in self?.settle() ?? [] }
        let thread = Thread { [self] in run() }
        thread.name = "intake"
        thread.start()
    }

    /// Ends once all that waits is recorded, or cannot be: the next start does that.
    func stop() {
        settle()
        locked { isStopped = true }
        isFull.signal()
    }

    // MARK: Receiving

    /// Keeps a SOP Instance UID to the caller, once what came of it before is recorded. Ends with `release`, or when what was added is recorded.
    ///
    /// Throws `dataFolder` where an instance of that UID waits and cannot be recorded now.
    func claim(_ uid: String) throws {
        while !locked({ claims.insert(uid).inserted }) {
            guard !settle().contains(where: { $0.sopInstanceUID == uid }) else {
                throw NodeError(.dataFolder, "what came of it before cannot be recorded yet.")
            }
            lock.lock()
            if claims.contains(uid) { lock.wait() }
            lock.unlock()
        }
    }

    func release(_ uid: String) { locked { _ = claims.remove(uid) } }

    /// Makes an instance durable whose UID is claimed and not known: returns once its bytes are on stable storage, for which `awaitFlush` waits,
    /// and its record. False where the journal cannot take it, or rows cannot be promised.
    func add(_ record: IntakeRecord, awaitFlush: () throws -> Void) throws -> Bool {
        guard !locked({ isBehind }), let slot = try journal.write(record) else { return false }
        do { try awaitFlush() } catch {
            try? journal.clear(slot)  // else the next start finds no file for it
            throw error
        }
        let count = locked {
            if !isBehind { waiting.append(Waiting(record: record, slot: slot)) }
            return isBehind ? nil : waiting.count
        }
        if count == nil { try journal.clear(slot) }
        if count == Self.batch { isFull.signal() }
        return count != nil
    }

    // MARK: Recording

    private func run() {
        while let pause = nextPause() {
            _ = isFull.wait(timeout: .now() + .milliseconds(pause))
            settle()
            try? files.refill()  // whoever takes one is told why there are none
        }
    }

    /// Waits until something waits; returns for how long others may join it, nil at the end.
    private func nextPause() -> Int? {
        lock.lock()
        defer { lock.unlock() }
        while waiting.isEmpty, !isStopped { lock.wait() }
        return isStopped ? nil : isBehind ? max(wait, Self.retry) : wait
    }

    /// Records all that was acknowledged before the call; returns what cannot be, which stays in the journal and is tried again.
    @discardableResult func settle() -> [Unrecorded] {
        settling.lock()
        defer { settling.unlock() }
        let batch = locked { waiting }
        guard !batch.isEmpty else { return [] }
        var failures: [(any Error)?]
        do { failures = try folder.settle(batch.map(\.record), in: store, logger: logger) } catch { failures = batch.map { _ in error } }
        let done = zip(batch, failures).filter { $1 == nil }.map(\.0), left = zip(batch, failures).filter { $1 != nil }.map(\.0)
        let slots = Set(done.map(\.slot))
        let wasBehind = locked {
            waiting.removeAll { slots.contains($0.slot) }
            claims.subtract(done.map(\.record.instance.sopInstanceUID))
            defer { isBehind = !left.isEmpty }
            return isBehind
        }
        journal.release(Array(slots))
        if let failure = failures.compactMap(\.self).first, !wasBehind {
            logger.error("\(left.count) acknowledged instances are in the journal and cannot be recorded now: \(failure) Until they are, no other is acknowledged before it has its row.")
        } else if left.isEmpty, wasBehind {
            logger.notice("All acknowledged instances are recorded again.")
        }
        return left.map { Unrecorded($0.record.arrival) }
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
        for place in places(of: instance) {
            let folder = "\(root.path)/\(place.folder)", path = "\(place.folder)/\(place.name)"
            if try addName(place.name, in: folder, to: "\(root.path)/\(instance.path)") || isWhole(instance, at: path) { return (path, [folder, instances.path]) }
        }
        throw NodeError(.dataFolder, "Instance \(instance.sopInstanceUID) is neither in \(instance.path) nor in its series' folder.")
    }

    /// Where an instance belongs, relative to the root: where it has the first name to itself, and where another content has that.
    func places(of instance: ReceivedInstance) -> [(folder: String, name: String)] {
        ["\(instance.sopInstanceUID).dcm", "\(instance.sopInstanceUID).\(instance.digest.prefix(16)).dcm"].map { ("instances/\(instance.seriesInstanceUID)", $0) }
    }

    private func isWhole(_ instance: ReceivedInstance, at path: String) -> Bool {
        condition(of: path, size: instance.size, digest: instance.digest) == .intact
    }

    /// Records what the run before acknowledged and had not recorded, and empties the journal; returns how many. Before half files are removed.
    ///
    /// A record whose file is not whole was never acknowledged: record and file are flushed side by side. One that cannot be recorded twice over, though
    /// others can, is kept for a person. Throws where none can, or there is no room; then the journal is as it was.
    func replayJournal(into store: Store, logger: Logger) throws -> Int {
        let open = try IntakeJournal.records(in: self).filter { try !store.holds($0.instance.sopInstanceUID, digest: $0.instance.digest) }
        var (recorded, failed) = try replay(open.sorted { $0.received < $1.received }, into: store, logger: logger)
        if !failed.isEmpty {
            Thread.sleep(forTimeInterval: 1)  // A disk that did not give a file once may give it now.
            let again = try replay(failed.map(\.record), into: store, logger: logger)
            (recorded, failed) = (recorded + again.recorded, again.failed)
        }
        for (record, reason) in failed {
            let kept = try keepForAPerson(record, because: reason)
            logger.error(
                "Instance \(kept.sopInstanceUID) from \(kept.callingAETitle) was acknowledged and cannot be recorded: \(reason) Its file is now \(kept.path): send it in again (docs/how-to/recover.md).")
        }
        try IntakeJournal.empty(in: self)
        return recorded
    }

    private func replay(_ records: [IntakeRecord], into store: Store, logger: Logger) throws -> (recorded: Int, failed: [(record: IntakeRecord, reason: String)]) {
        let found = Dictionary(grouping: records, by: condition(ofFileOf:))
        let whole = found[.intact] ?? [], unreadable = found[.unreadable] ?? [], halves = records.count - whole.count - unreadable.count
        if halves > 0 { logger.notice("\(halves) instances were not whole when the node stopped: they were never acknowledged.") }
        let failures = try zip(whole, settle(whole, in: store, logger: logger)).compactMap { record, failure in failure.map { (record, $0) } }
        if let failure = failures.first(where: { !Store.isOfOneRecord($1) || mayLackRoom(after: $1) })?.1 { throw failure }
        return (whole.count - failures.count, failures.map { ($0, "\($1)") } + unreadable.map { ($0, "Its file cannot be read.") })
    }

    /// How the file of a record is, in `incoming/` or, where an attempt before came so far, in its place.
    func condition(ofFileOf record: IntakeRecord) -> FileCondition {
        let instance = record.instance
        func condition(_ path: String) -> FileCondition { self.condition(of: path, size: instance.size, digest: instance.digest) }
        let first = condition(instance.path)
        guard first == .missing else { return first }
        let placed = places(of: instance).map { condition("\($0.folder)/\($0.name)") }
        return [.intact, .unreadable].first(where: placed.contains) ?? .missing
    }
}
