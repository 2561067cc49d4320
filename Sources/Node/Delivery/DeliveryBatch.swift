import Foundation
import NodeStore

/// What one association with a destination is for, and what of it goes where that depends on what it takes: a label map, or a binary segmentation in its place.
///
/// The peer's answer to the association request decides, once for a job. The store is told before anything that depends on it goes out:
/// were the node to stop in between, the next attempt would find it settled.
struct DeliveryBatch {
    /// What is due, and behind it what goes only if one of those decides so.
    let deliveries: [Delivery]
    /// Of the jobs that are open.
    private let open: Set<Int64>
    private let dueCount: Int
    private let destination: String
    private let store: Store
    /// Whether the peer takes the object that decides, by job.
    private var isTaken: [Int64: Bool] = [:]
    /// Why it could not be settled.
    private(set) var outcome: Result<Void, any Error> = .success(())

    init(_ due: [Delivery], to destination: String, in store: Store) throws {
        let standby = try due.filter { $0.condition == .decides }.flatMap { try store.standbyDeliveries(of: $0.job, to: destination) }
        (self.destination, self.store, dueCount, deliveries, open) = (destination, store, due.count, due + standby, Set(standby.map(\.job)))
    }

    /// Whether a delivery of the batch goes, as far as is settled.
    func goes(_ index: Int) -> Bool {
        let delivery = deliveries[index]
        return switch delivery.condition {
        case nil: true
        case .decides: isTaken[delivery.job] ?? true
        // Those that are due were settled by an earlier attempt.
        case .ifTaken: index < dueCount || isTaken[delivery.job] == true
        case .ifNotTaken: index < dueCount || isTaken[delivery.job] == false
        }
    }

    /// Settles what the delivery decides, and tells whether it goes.
    mutating func shallSend(_ index: Int, isAccepted: Bool) -> Bool {
        let delivery = deliveries[index]
        if delivery.condition == .decides, open.contains(delivery.job), isTaken[delivery.job] == nil {
            let reason = isAccepted ? "The peer takes \(delivery.name)." : "The peer does not accept the SOP class of \(delivery.name)."
            do {
                try store.settle(deliveriesOf: delivery.job, to: destination, isTaken: isAccepted, reason: reason, at: Date())
                isTaken[delivery.job] = isAccepted
            } catch {
                outcome = .failure(error)
                return false
            }
        }
        return goes(index)
    }
}
