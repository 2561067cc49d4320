import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle

/// Sends what waits in the outbox. Each destination has a loop of its own, so that one that is down holds up no other.
struct DeliveryService: Service {
    /// Sends files to a destination. Of each, by its index, it asks right before whether it shall go, telling whether the peer accepted its
    /// SOP class, and then tells what status the peer answered; throws when the association cannot be had or breaks.
    typealias Send = @Sendable (
        _ paths: [String], _ destination: Configuration.Destination, _ shallSend: (_ index: Int, _ isAccepted: Bool) -> Bool,
        _ each: (_ index: Int, _ answer: Answer) -> Void
    ) throws -> Void

    /// The peer's status, or why the file was not sent at all.
    enum Answer {
        case status(DIMSEStatus)
        case notSent(reason: String)
    }

    let store: Store
    let folder: DataFolder
    let configuration: Configuration
    let send: Send
    /// One a destination; rung when a job ended.
    let alarms: [Alarm]
    let logger: Logger
    /// Since when deliveries wait, of all destinations.
    private let ages = SteadyTimes<Int64, Date>()

    func run() async throws {
        await withDiscardingTaskGroup { group in
            // A service that ends takes the node with it, and there may be no destination.
            group.addTask { try? await gracefulShutdown() }
            for (destination, alarm) in zip(configuration.destinations, alarms) {
                group.addTask {
                    await alarm.answer("delivery to \(destination.name)", logger: logger) { try deliver(to: destination, at: Date()) }
                }
            }
        }
    }

    /// Tries all that is due for a destination over one association; returns when the next is due. Blocks.
    ///
    /// `now` and `steady` are the same moment.
    func deliver(to destination: Configuration.Destination, at now: Date, steady: ContinuousClock.Instant = .now) throws -> Date? {
        let pending = try store.pendingDeliveries()
        for one in pending { _ = age(of: one, at: now, steady) }
        ages.keep(pending.map(\.id))
        let due = pending.filter { $0.destination == destination.name && configuration.delivery.isDue($0.nextAttempt, at: now) }
        if !due.isEmpty {
            var batch = try DeliveryBatch(due, to: destination.name, in: store), answers: [Int: Result<Void, any Error>] = [:]
            let deliveries = batch.deliveries
            // One for all, so that what is tried again keeps its order: a segmentation before the report that refers to it.
            let jitter = Double.random(in: Configuration.DeliveryRules.jitter)
            func note(_ index: Int, _ answer: Answer) {
                if answers[index] == nil { answers[index] = Result { try record(deliveries[index], answer, to: destination, jitter: jitter) } }
            }
            var failure: String?
            do {
                try send(deliveries.map { folder.root.appending(path: $0.path).path }, destination, { batch.shallSend($0, isAccepted: $1) }, note)
            } catch { failure = "\(error)" }
            for index in deliveries.indices where batch.goes(index) {
                note(index, .notSent(reason: failure ?? "The association ended before it was sent."))
            }
            // What could not be recorded stays pending and is repeated, which does no harm: the UIDs are the same.
            try batch.outcome.get()
            for answer in answers.values { try answer.get() }
        }
        return try store.pendingDeliveries(to: destination.name).first?.nextAttempt
    }

    /// Seconds that a delivery has waited since it was made, or retried by a person.
    private func age(of delivery: Delivery, at now: Date, _ steady: ContinuousClock.Instant) -> Double {
        ages.seconds(since: delivery.created, of: delivery.id, signs: delivery.created, at: steady, wallNow: now)
    }

    private func record(_ delivery: Delivery, _ answer: Answer, to destination: Configuration.Destination, jitter: Double) throws {
        let now = Date()
        let outcome = Self.outcome(
            of: answer, attempts: delivery.attempts, age: age(of: delivery, at: now, .now), by: configuration.delivery, at: now, jitter: jitter)
        let object = "\(delivery.sopInstanceUID) to \(destination.name)"
        switch outcome {
        case .sent(_, let note): logger.info("Sent \(object)\(note.map { " (\($0))" } ?? "").")
        case .postponed(let until, _, let reason): logger.warning("Not sent \(object): \(reason) Again in \(Int(until.timeIntervalSince(now))) s.")
        case .failed(_, let reason): logger.error("Given up \(object): \(reason)")
        }
        try store.record(delivery: delivery.id, outcome, at: now)
    }

    /// What an answer means: success and warnings (PS3.4 table B.2-1) are delivered, all else is tried again, each time after twice
    /// the wait, until it is given up.
    static func outcome(
        of answer: Answer, attempts: Int, age: Double, by rules: Configuration.DeliveryRules, at now: Date, jitter: Double
    ) -> DeliveryOutcome {
        let status: UInt16?
        let reason: String
        switch answer {
        case .status(.success): return .sent(status: 0, note: nil)
        case .status(let answer) where answer.isStored: return .sent(status: answer.rawValue, note: "stored with warning status \(answer)")
        case .status(let answer): (status, reason) = (answer.rawValue, "the peer answered status \(answer).")
        case .notSent(let why): (status, reason) = (nil, why)
        }
        guard age < rules.giveUpAfterHours * 3600 else { return .failed(status: status, reason: reason) }
        // Beyond 2^30 any first wait is over the longest.
        let wait = min(rules.longestRetrySeconds, rules.firstRetrySeconds * Double(1 << min(attempts, 30)))
        return .postponed(until: now + wait * jitter, status: status, reason: reason)
    }
}

extension Configuration.DeliveryRules {
    /// What a wait is multiplied by, so that several nodes do not call one archive at once.
    fileprivate static let jitter = 0.8...1.2

    /// Whether a next attempt is due: its time has come, or lies farther away than any wait, since the clock was set back.
    func isDue(_ next: Date, at now: Date) -> Bool { next <= now || next > now + longestRetrySeconds * Self.jitter.upperBound }
}
