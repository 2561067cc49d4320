import DICOMCore
import DICOMNetwork
import Foundation
import Logging
import NodeStore

/// Modality Performed Procedure Step as SCP (PS3.4 F.7): a modality tells what it made. Of each step only its state and the
/// instances it names are kept.
struct PerformedProcedureSteps: MessageService {
    /// Performed Procedure Step Object may no longer be updated (PS3.4 F.7.2.2.2).
    private static let noLongerUpdated: UInt16 = 0xA710

    let store: Store
    /// Called when a step was recorded.
    let announced: @Sendable () -> Void
    let logger: Logger

    let sopClassUIDs: Set<UID> = [SOPClass.modalityPerformedProcedureStep]

    func answer(_ request: OperationRequest, on association: AssociationInfo) -> OperationAnswer {
        do {
            switch request.operation {
            case .nCreate: return try create(request, from: association.callingAETitle)
            case .nSet: return try set(request, from: association.callingAETitle)
            default: return OperationAnswer(.unrecognizedOperation)
            }
        } catch {
            logger.error("A performed procedure step from \(association.callingAETitle) cannot be recorded: \(error)")
            return OperationAnswer(.processingFailure, "the step cannot be recorded")
        }
    }

    private func create(_ request: OperationRequest, from source: AETitle) throws -> OperationAnswer {
        guard let dataSet = request.dataSet, dataSet.contains(.performedProcedureStepStatus) else {
            return OperationAnswer(.missingAttribute, "Performed Procedure Step Status is missing")
        }
        // A step begins in progress (PS3.4 F.7.2.1.2).
        guard state(dataSet) == .inProgress else { return OperationAnswer(.invalidAttributeValue, "a step begins IN PROGRESS") }
        let uid = request.sopInstanceUID ?? UID.derived(from: [UUID().uuidString])
        let step = Announcement(kind: .performedProcedureStep, sopInstanceUID: uid.string, source: source.string, state: .inProgress)
        guard try store.record(step, series: performedSeries(dataSet), isNew: true, at: Date()) else { return OperationAnswer(.duplicateSOPInstance) }
        announced()
        return OperationAnswer(.success, sopInstanceUID: uid)
    }

    private func set(_ request: OperationRequest, from source: AETitle) throws -> OperationAnswer {
        guard let uid = request.sopInstanceUID, let known = try store.announcement(.performedProcedureStep, uid.string) else {
            return OperationAnswer(.noSuchSOPInstance)
        }
        guard known.state == .inProgress else {
            return OperationAnswer(.processingFailure, "Performed Procedure Step Object may no longer be updated", errorID: Self.noLongerUpdated)
        }
        let dataSet = request.dataSet ?? DataSet()
        guard let state = dataSet.contains(.performedProcedureStepStatus) ? state(dataSet) : known.state else {
            return OperationAnswer(.invalidAttributeValue, "Performed Procedure Step Status")
        }
        let series = performedSeries(dataSet)
        // Required in a step that ends well, by its end at the latest (PS3.4 table F.7.2-1).
        if state == .completed, try series?.isEmpty ?? !store.namesInstances(known) {
            return OperationAnswer(.missingAttributeValue, "Performed Series Sequence has no item")
        }
        let step = Announcement(kind: .performedProcedureStep, sopInstanceUID: uid.string, source: source.string, state: state)
        _ = try store.record(step, series: series, isNew: false, at: Date())
        logger.info("Performed procedure step \(uid) of \(source) is \(state.rawValue)\(series.map { " with \($0.count) series" } ?? "").")
        announced()
        return OperationAnswer(.success)
    }

    private func state(_ dataSet: DataSet) -> AnnouncementState? { dataSet.string(.performedProcedureStepStatus).flatMap(AnnouncementState.init) }

    /// The instances that a step names, by series; nil when it says nothing of series.
    private func performedSeries(_ dataSet: DataSet) -> [String: [String]]? {
        guard dataSet.contains(.performedSeriesSequence) else { return nil }
        return dataSet.items(.performedSeriesSequence).instances {
            ($0.items(.referencedImageSequence) + $0.items(.referencedNonImageCompositeSOPInstanceSequence))
        }
    }
}

/// Instance Availability Notification as SCP (PS3.4 annex R): a peer tells which instances can be had.
struct InstanceAvailability: MessageService {
    let store: Store
    /// Called when a notification was recorded.
    let announced: @Sendable () -> Void
    let logger: Logger

    let sopClassUIDs: Set<UID> = [SOPClass.instanceAvailabilityNotification]

    func answer(_ request: OperationRequest, on association: AssociationInfo) -> OperationAnswer {
        guard request.operation == .nCreate else { return OperationAnswer(.unrecognizedOperation) }
        guard let dataSet = request.dataSet, dataSet.contains(.referencedSeriesSequence) else {
            return OperationAnswer(.missingAttribute, "Referenced Series Sequence is missing")
        }
        let series = dataSet.items(.referencedSeriesSequence).instances {
            $0.items(.referencedSOPSequence).filter { $0.string(.instanceAvailability) != "UNAVAILABLE" }
        }
        guard !series.isEmpty else { return OperationAnswer(.missingAttributeValue, "Referenced Series Sequence names no series") }
        let uid = request.sopInstanceUID ?? UID.derived(from: [UUID().uuidString])
        let notification = Announcement(
            kind: .instanceAvailability, sopInstanceUID: uid.string, source: association.callingAETitle.string, state: .completed)
        do {
            guard try store.record(notification, series: series, isNew: true, at: Date()) else { return OperationAnswer(.duplicateSOPInstance) }
        } catch {
            logger.error("An instance availability notification from \(association.callingAETitle) cannot be recorded: \(error)")
            return OperationAnswer(.processingFailure, "the notification cannot be recorded")
        }
        announced()
        return OperationAnswer(.success, sopInstanceUID: uid)
    }
}

extension [DataSet] {
    /// The SOP Instance UIDs that the items of a sequence of series name, by Series Instance UID.
    fileprivate func instances(_ references: (DataSet) -> [DataSet]) -> [String: [String]] {
        reduce(into: [:]) { all, item in
            guard let series = item.uid(.seriesInstanceUID) else { return }
            all[series.string, default: []] += references(item).compactMap { $0.uid(.referencedSOPInstanceUID)?.string }
        }
    }
}
