import DICOMCore
import DICOMNetwork
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import Synchronization

/// Storage Commitment Push Model as SCP (PS3.4 annex J): takes requests, checks what they name against the disk, and tells the
/// outcome on the requester's own association where it cannot or does not want to be called. `CommitmentService` calls the others.
final class StorageCommitment: MessageService {
    /// Request Storage Commitment (PS3.4 J.3.2).
    private static let requestCommitment: UInt16 = 1

    /// Failure Reasons (PS3.3 C.14.1.1).
    enum FailureReason {
        static let processingFailure: UInt16 = 0x0110
        static let noSuchObjectInstance: UInt16 = 0x0112
        static let classInstanceConflict: UInt16 = 0x0119
        static let duplicateTransactionUID: UInt16 = 0x0131
    }

    let store: Store
    let configuration: Configuration
    let logger: Logger
    private let folder: DataFolder
    /// Called when a request was taken and answered.
    private let requested: @Sendable () -> Void
    private let progress = Mutex(Progress())
    /// Since when reports wait.
    private let ages = SteadyTimes<Int64, Date>()

    private struct Progress {
        /// Requests that are being reported, on whatever association.
        var busy: Set<Int64> = []
        /// Requests that were reported in vain on their requester's association, which does not hear of them twice.
        var triedOn: [Int64: UInt64] = [:]
    }

    init(store: Store, folder: DataFolder, configuration: Configuration, logger: Logger, requested: @escaping @Sendable () -> Void) {
        self.store = store
        self.folder = folder
        self.configuration = configuration
        self.logger = logger
        self.requested = requested
    }

    let sopClassUIDs: Set<UID> = [SOPClass.storageCommitmentPushModel]

    // MARK: Requests

    func answer(_ request: OperationRequest, on association: AssociationInfo) -> OperationAnswer {
        guard request.operation == .nAction else { return OperationAnswer(.unrecognizedOperation) }
        guard request.sopInstanceUID == SOPClass.storageCommitmentPushModelInstance else { return OperationAnswer(.noSuchSOPInstance) }
        guard request.typeID == Self.requestCommitment else { return OperationAnswer(.noSuchActionType) }
        guard let transaction = request.dataSet?.uid(.transactionUID) else {
            return OperationAnswer(.invalidArgumentValue, "Transaction UID is missing or malformed")
        }
        let items = request.dataSet?.items(.referencedSOPSequence) ?? []
        guard !items.isEmpty else { return OperationAnswer(.invalidArgumentValue, "Referenced SOP Sequence is missing or empty") }
        var references: [CommitmentReference] = [], known: Set<CommitmentReference> = []
        for (index, item) in items.enumerated() {
            guard let sopClass = item.uid(.referencedSOPClassUID), let instance = item.uid(.referencedSOPInstanceUID) else {
                return OperationAnswer(.invalidArgumentValue, "reference \(index + 1) lacks a class or instance UID")
            }
            let reference = CommitmentReference(sopClassUID: sopClass.string, sopInstanceUID: instance.string)
            if known.insert(reference).inserted { references.append(reference) }
        }
        let now = Date()
        // On the requester's association it is reported as soon as the answer is out; if that fails, by calling it, a while later.
        let wait = reportsOnRequestersAssociation(association.callingAETitle) ? configuration.delivery.firstRetrySeconds : 0
        do {
            let id = try store.recordCommitment(
                transactionUID: transaction.string, requester: association.callingAETitle.string, responder: association.calledAETitle.string,
                peer: association.peerAddress, references: references, duplicate: FailureReason.duplicateTransactionUID, firstAttempt: now + wait,
                at: now)
            logger.info("Commitment \(id): \(association.callingAETitle) asks for \(references.count) instances, transaction \(transaction).")
        } catch {
            logger.error("A request for commitment from \(association.callingAETitle) cannot be recorded: \(error)")
            return OperationAnswer(.processingFailure, "the request cannot be recorded")
        }
        return OperationAnswer(.success)
    }

    /// Whether a requester is told on the association it asked on: one that cannot be called, or wants it so.
    private func reportsOnRequestersAssociation(_ requester: AETitle) -> Bool {
        configuration.peers.first { $0.aeTitle == requester && $0.host != nil }?.commitmentOnSameAssociation ?? true
    }

    // MARK: Reports on the requester's association

    func nextReport(on association: AssociationInfo) -> EventReport? {
        guard reportsOnRequestersAssociation(association.callingAETitle) else {
            // Only now: a report shall not overtake the answer to its request.
            requested()
            return nil
        }
        do {
            let pending = try store.pendingCommitments(of: association.callingAETitle.string)
            guard let next = pending.first(where: { begin($0.id, on: association.id) }) else { return nil }
            do { return try report(on: next) } catch {
                end(next.id)
                throw error
            }
        } catch {
            logger.error("The report to \(association.callingAETitle) cannot be made: \(error)")
            return nil
        }
    }

    func reported(_ report: EventReport, _ result: Result<DIMSEStatus, NetworkError>, on association: AssociationInfo) {
        defer { end(report.id) }
        do {
            let answer: DeliveryService.Answer =
                switch result {
                case .success(let status): .status(status)
                case .failure(let error): .notSent(reason: error.message)
                }
            try record(answer, for: store.commitment(report.id).0)
        } catch { logger.error("The outcome of commitment \(report.id) cannot be recorded: \(error)") }
    }

    /// Takes hold of a request, so that nobody else reports it at the same time; false when somebody does, or that association of its
    /// requester has heard of it.
    func begin(_ id: Int64, on association: UInt64? = nil) -> Bool {
        progress.withLock { progress in
            if let association {
                guard progress.triedOn[id] != association, !progress.busy.contains(id) else { return false }
                progress.triedOn[id] = association
            }
            return progress.busy.insert(id).inserted
        }
    }

    func end(_ id: Int64) { _ = progress.withLock { $0.busy.remove(id) } }

    // MARK: What is told

    /// The report on a request (PS3.4 J.3.3), whose references are checked if they have not been; blocks.
    func report(on commitment: Commitment) throws -> EventReport {
        var references = try store.commitment(commitment.id).1
        if commitment.checked == nil {
            for index in references.indices { references[index].failure = try check(references[index]) }
            try store.record(check: references.map(\.failure), of: commitment.id, at: Date())
        }
        let dataSet = DataSet()
        try dataSet.set(.transactionUID, commitment.transactionUID)
        for reference in references {
            let item = try dataSet.addItem(reference.failure == nil ? .referencedSOPSequence : .failedSOPSequence)
            try item.set(.referencedSOPClassUID, reference.sopClassUID)
            try item.set(.referencedSOPInstanceUID, reference.sopInstanceUID)
            if let failure = reference.failure { try item.set(.failureReason, Int(failure)) }
        }
        // 1: all committed; 2: failures exist (PS3.4 J.3.3.1).
        return EventReport(
            id: commitment.id, sopClassUID: SOPClass.storageCommitmentPushModel, sopInstanceUID: SOPClass.storageCommitmentPushModelInstance,
            eventTypeID: references.contains { $0.failure != nil } ? 2 : 1, dataSet: dataSet)
    }

    /// Why an instance cannot be committed; nil when it lies on the disk as it was received.
    private func check(_ reference: CommitmentReference) throws -> UInt16? {
        switch try folder.holding(of: reference.sopInstanceUID, class: reference.sopClassUID, in: store) {
        case .held: return nil
        case .notHeld: return FailureReason.noSuchObjectInstance
        case .otherClass: return FailureReason.classInstanceConflict
        case .damaged(let condition):
            logger.error("Instance \(reference.sopInstanceUID) is not on disk as it was received: \(condition.rawValue).")
            return FailureReason.processingFailure
        }
    }

    /// All reports that wait, having noted since when each does; `now` and `steady` are the same moment.
    func pending(at now: Date, _ steady: ContinuousClock.Instant) throws -> [Commitment] {
        let pending = try store.pendingCommitments()
        for one in pending { _ = age(of: one, at: now, steady) }
        ages.keep(pending.map(\.id))
        return pending
    }

    /// Seconds that a report has waited since its request, or since a person had it made anew.
    func age(of commitment: Commitment, at now: Date, _ steady: ContinuousClock.Instant) -> Double {
        ages.seconds(since: commitment.created, of: commitment.id, signs: commitment.created, at: steady, wallNow: now)
    }

    /// Records what an attempt at a report came to.
    func record(_ answer: DeliveryService.Answer, for commitment: Commitment) throws {
        let now = Date()
        let outcome = DeliveryService.outcome(
            of: answer, attempts: commitment.attempts, age: age(of: commitment, at: now, .now), by: configuration.delivery, at: now,
            jitter: .random(in: 0.8...1.2))
        if case .postponed = outcome {} else { _ = progress.withLock { $0.triedOn.removeValue(forKey: commitment.id) } }
        switch outcome {
        case .sent: logger.info("Commitment \(commitment.id): \(commitment.requester) has the report.")
        case .postponed(let until, _, let reason):
            logger.warning("Commitment \(commitment.id) not reported: \(reason) Again in \(Int(until.timeIntervalSince(now))) s.")
        case .failed(_, let reason): logger.error("Commitment \(commitment.id): given up reporting. \(reason)")
        }
        try store.record(commitment: commitment.id, outcome, at: now)
    }
}
