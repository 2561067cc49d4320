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
            let peer = peers[index]
            var source = CompletionEvidence.Source(aeTitle: peer.aeTitle.string)
            do {
                if let count = try ask(series, peer) {
                    (source.instances, source.level) = (count.instances, count.level)
                } else { source.failure = "it does not know the series" }
            } catch { source.failure = "\(error)" }
            states.withLock { $0[series.id] = (series.lastArrival, .answered(source)) }
            answered()
        }
        return .pending
    }

    /// Forgets all but those.
    func keep(_ series: [Int64]) { states.withLock { states in states = states.filter { series.contains($0.key) } } }
}
