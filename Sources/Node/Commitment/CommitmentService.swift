import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import ServiceLifecycle

/// Calls the peers that asked for storage commitment with their reports, each in a loop of its own, so that one that does not
/// answer holds up no other. Requesters that cannot be called are told when they ask again, until they are given up.
struct CommitmentService: Service {
    typealias Send = @Sendable (EventReport, Configuration.Peer) throws -> DIMSEStatus

    let commitment: StorageCommitment
    let send: Send
    /// One a peer that can be called, and one for all others; rung when a request was taken.
    let alarms: [Alarm]

    /// Sends by N-EVENT-REPORT.
    static func network(_ configuration: Configuration) -> Send {
        { report, peer in
            guard let address = configuration.peer(peer) else { throw NetworkError(.unreachable, "\(peer.name) has no host and port") }
            return try ServiceClass.report(report, to: address)
        }
    }

    static func callable(_ configuration: Configuration) -> [Configuration.Peer] { configuration.peers.filter { $0.host != nil } }

    func run() async throws {
        let peers: [Configuration.Peer?] = Self.callable(commitment.configuration) + [nil]
        await withDiscardingTaskGroup { group in
            for (peer, alarm) in zip(peers, alarms) {
                group.addTask {
                    await alarm.answer("storage commitment of \(peer?.name ?? "others")", logger: commitment.logger) { try report(to: peer) }
                }
            }
        }
    }

    /// Reports all that is due to a peer, or ends what is overdue of all that cannot be called; returns when the next is due. Blocks.
    ///
    /// `now` and `steady` are the same moment.
    func report(to peer: Configuration.Peer?, at now: Date = Date(), steady: ContinuousClock.Instant = .now) throws -> Date? {
        let all = try commitment.pending(at: now, steady)
        guard let peer else { return try giveUpStrangers(among: all, at: now, steady) }
        let due = try pending(of: peer).filter { commitment.configuration.delivery.isDue($0.nextAttempt!, at: now) && commitment.begin($0.id) }
        defer { for one in due { commitment.end(one.id) } }
        var failure: String?
        for one in due {
            var answer: DeliveryService.Answer?
            if failure == nil {
                do { answer = .status(try send(commitment.report(on: one), peer)) } catch let error as NetworkError {
                    // The others would only wait for the same.
                    failure = error.message
                } catch let error as StoreError where error.code == .notRecorded {
                    answer = .notSent(reason: error.message)
                }
            }
            try commitment.record(answer ?? .notSent(reason: failure ?? ""), for: one)
        }
        // What is due and in other hands is not waited for.
        return try pending(of: peer).first { $0.nextAttempt! > Date() }?.nextAttempt
    }

    private func pending(of peer: Configuration.Peer) throws -> [Commitment] {
        try commitment.store.pendingCommitments(of: peer.aeTitle.string)
    }

    /// Ends what was asked by those that cannot be called and did not come back in time; returns when the next is at its end.
    private func giveUpStrangers(among all: [Commitment], at now: Date, _ steady: ContinuousClock.Instant) throws -> Date? {
        let callable = Set(Self.callable(commitment.configuration).map(\.aeTitle.string))
        let limit = commitment.configuration.delivery.giveUpAfterHours * 3600
        let pending = all.filter { !callable.contains($0.requester) }
        let left = pending.map { limit - commitment.age(of: $0, at: now, steady) }
        for (one, left) in zip(pending, left) where left <= 0 && commitment.begin(one.id) {
            defer { commitment.end(one.id) }
            let note = "The requester is none of the peers with a host: it cannot be called, and has not been told on an association of its own."
            try commitment.record(.notSent(reason: note), for: one)
        }
        return left.filter { $0 > 0 }.min().map { now + $0 }
    }
}
