import DICOMCore
import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import Synchronization

/// Asks the sources of series how many instances those have (C-FIND), one question at a time each, on threads of their own.
final class SourceInquiries: Sendable {
    /// What a source says; nil when it does not know the series.
    typealias Ask = @Sendable (_ series: SeriesInProgress, _ peer: Configuration.Peer) throws -> SeriesCount?

    /// Where a question stands.
    enum State: Sendable, Equatable {
        /// The source is not to be asked.
        case none
        case pending
        case answered(CompletionEvidence.Source)
    }

    private let peers: [Configuration.Peer]
    private let ask: Ask
    /// Called when a source answered.
    private let answered: @Sendable () -> Void
    private let queues: [DispatchQueue]
    /// Seconds for which a peer that could not answer is not asked again, so that one that is down delays each series once at most.
    private static let failureHolds = Duration.seconds(60)
    /// By the peer's place in `peers`.
    private let failures = Mutex<[Int: (since: ContinuousClock.Instant, reason: String)]>([:])
    /// By series, with the arrival up to which the question went.
    private let states = Mutex<[Int64: (lastArrival: Date, state: State)]>([:])

    init(_ configuration: Configuration, ask: Ask? = nil, answered: @escaping @Sendable () -> Void) {
        peers = configuration.peers.filter(\.completionQuery)
        queues = peers.map { DispatchQueue(label: "medlsam.inquiry.\($0.name)") }
        self.ask = ask ?? { series, peer in
            guard let uid = UID(series.seriesInstanceUID), let study = UID(series.studyInstanceUID), let peer = configuration.peer(peer) else { return nil }
            return try ServiceClass.countInstances(ofSeries: uid, study: study, at: peer)
        }
        self.answered = answered
    }

    /// The answer on a series as it is now; asks when nobody has.
    func state(of series: SeriesInProgress) -> State {
        guard let index = peers.firstIndex(where: { $0.aeTitle.string == series.source }) else { return .none }
        let known = states.withLock { states in
            if let known = states[series.id], known.lastArrival == series.lastArrival { return known.state }
            states[series.id] = (series.lastArrival, .pending)
            return State.none
        }
        guard known == .none else { return known }
        queues[index].async { [self] in
            let source = question(series, toPeerAt: index)
            states.withLock { $0[series.id] = (series.lastArrival, .answered(source)) }
            answered()
        }
        return .pending
    }

    private func question(_ series: SeriesInProgress, toPeerAt index: Int) -> CompletionEvidence.Source {
        var source = CompletionEvidence.Source(aeTitle: peers[index].aeTitle.string)
        let failure = failures.withLock { $0[index] }
        if let failure, failure.since.duration(to: .now) < Self.failureHolds {
            source.failure = failure.reason
            return source
        }
        do {
            if let count = try ask(series, peers[index]) {
                (source.instances, source.level) = (count.instances, count.level)
            } else { source.failure = "it does not know the series" }
        } catch {
            source.failure = "\(error)"
            failures.withLock { $0[index] = (.now, "\(error)") }
        }
        return source
    }

    /// Forgets all but those.
    func keep(_ series: [Int64]) { states.withLock { states in states = states.filter { series.contains($0.key) } } }
}
