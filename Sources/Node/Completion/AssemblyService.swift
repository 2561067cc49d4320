import DICOMImaging
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import ServiceLifecycle
import Synchronization

/// Turns series that are complete into jobs.
struct AssemblyService: Service {
    let store: Store
    let configuration: Configuration
    /// Rung when an association ended, something was announced or a source answered.
    let alarm: Alarm
    let inquiries: SourceInquiries
    /// Called when a job was made.
    let queued: @Sendable () -> Void
    let logger: Logger
    private let quiet = QuietTimes()
    private let contests = ContestTimes()
    private let stacks = StackMemory()

    init(
        store: Store, configuration: Configuration, alarm: Alarm, inquiries: SourceInquiries? = nil, queued: @escaping @Sendable () -> Void,
        logger: Logger
    ) {
        self.store = store
        self.configuration = configuration
        self.alarm = alarm
        self.inquiries = inquiries ?? SourceInquiries(configuration) { alarm.ring() }
        self.queued = queued
        self.logger = logger
    }

    func run() async throws {
        await alarm.answer("assembly", logger: logger) { try completeSeries(at: Date()) }
    }

    /// Makes the jobs that are due; returns when to look again if nothing happens before. `now` and `steady` are the same moment.
    func completeSeries(at now: Date, steady: ContinuousClock.Instant = .now) throws -> Date? {
        let times = configuration.completion
        let rule = CompletionRule(times: .init(idle: times.idleSeconds, gap: times.gapSeconds, missing: times.missingSeconds))
        let selector = Selector(store: store, configuration: configuration, logger: logger)
        var next: Double?
        // How long what is closed now had been quiet.
        var closedQuiet = Double.infinity
        let inProgress = try store.seriesInProgress()
        inquiries.keep(inProgress.map(\.id))
        for series in inProgress {
            func decide() throws -> CompletionRule.Decision {
                try rule.decide(
                    series, quiet: quiet.seconds(series, at: steady, wallNow: now), stack: { try stacks.stack(of: series) { try stack(of: series.id) } },
                    announced: { try store.announced(series: series.id) }, source: { inquiries.state(of: series) })
            }
            var decision = try decide()
            // What is remembered is good enough to wait by, not to act on: an instance may have been lost since.
            if case .complete = decision, stacks.forget(series) { decision = try decide() }
            switch decision {
            case .wait(seconds: nil): break
            case .wait(seconds: let seconds?): next = min(next ?? seconds, seconds)
            case .complete(let evidence):
                closedQuiet = min(closedQuiet, evidence.quietSeconds)
                if try selector.close(series, evidence: evidence, at: now) { queued() }
            }
        }
        quiet.keep(inProgress.map(\.id))
        stacks.keep(inProgress.map(\.id))
        let choice = try selector.choose(at: now) {
            contests.seconds(since: $1, of: $0, signs: $1, at: steady, wallNow: now, atMost: closedQuiet.isFinite ? closedQuiet : 0)
        }
        contests.keep(choice.open)
        if choice.queued { queued() }
        return [next, choice.next].compactMap { $0 }.min().map { now + $0 }
    }

    private func stack(of series: Int64) throws -> (instances: Int, gap: String?) {
        let records = try store.headers(ofSeries: series)
        let headers = records.compactMap { try? NodeJSON.decode(SliceHeader.self, from: String(decoding: $0, as: UTF8.self)) }
        return (records.count, SliceStack.gap(in: headers))
    }
}

/// How the slices of each series stand that waits, so that its headers, 300 of a scan, are read again only when it has stirred.
final class StackMemory: Sendable {
    typealias Stack = (instances: Int, gap: String?)

    private let known = Mutex<[Int64: (lastArrival: Date, stack: Stack)]>([:])

    func stack(of series: SeriesInProgress, read: () throws -> Stack) rethrows -> Stack {
        if let known = known.withLock({ $0[series.id] }), known.lastArrival == series.lastArrival { return known.stack }
        let stack = try read()
        known.withLock { $0[series.id] = (series.lastArrival, stack) }
        return stack
    }

    /// Whether anything was remembered of it.
    func forget(_ series: SeriesInProgress) -> Bool { known.withLock { $0.removeValue(forKey: series.id) != nil } }

    /// Forgets all but those.
    func keep(_ series: [Int64]) {
        let kept = Set(series)
        known.withLock { known in known = known.filter { kept.contains($0.key) } }
    }
}
