import CDCMTK
import DICOMCore
import Logging

/// The messages of an accepted association that are neither C-ECHO nor C-STORE: requests to registered services, and the peer's
/// answers to what those reported on the same association.
final class ServedMessages {
    private let handle: OpaquePointer
    private let address: String
    private let services: [UID: any MessageService]
    private let logger: Logger
    /// The report that the peer has not answered yet.
    private var outstanding: (report: EventReport, service: any MessageService, messageID: UInt16)?
    private var lastMessageID: UInt16 = 0

    init(handle: OpaquePointer, address: String, services: [UID: any MessageService], logger: Logger) {
        (self.handle, self.address, self.services, self.logger) = (handle, address, services, logger)
    }

    /// Deals with the message at hand, whose presentation context has that abstract syntax; false when the association is over.
    func takeOne(in abstractSyntax: String, on info: AssociationInfo) -> Bool {
        do {
            let received = try Message.receive(on: handle, peer: address)
            if received.message.isResponse { return try takeAnswer(received.message, on: info) }
            guard let abstractSyntax = UID(abstractSyntax), let service = services[abstractSyntax] else {
                logger.notice("Answered with \(DIMSEStatus.unrecognizedOperation): the peer asked for a service that was not negotiated")
                try received.message.response(OperationAnswer(.unrecognizedOperation)).send(on: handle, peer: address)
                return true
            }
            let answer = answer(received, abstractSyntax, service, on: info)
            if answer.status != .success { logger.warning("Request answered with \(answer.status): \(answer.comment ?? "")") }
            try received.message.response(answer).send(on: handle, peer: address)
            try report(by: service, abstractSyntax, on: info)
            return true
        } catch {
            logger.notice("Association over: \(error)")
            return false
        }
    }

    /// The association ended: a report without an answer counts as not told.
    func end(on info: AssociationInfo) {
        guard let (report, service, _) = outstanding else { return }
        outstanding = nil
        service.reported(report, .failure(NetworkError(.aborted, "\(address): the association ended before the report was answered")), on: info)
    }

    private func answer(_ received: Message.Received, _ abstractSyntax: UID, _ service: any MessageService, on info: AssociationInfo) -> OperationAnswer {
        let command = received.message.command
        guard let operation = command[.commandField].flatMap(OperationRequest.Operation.init) else { return OperationAnswer(.unrecognizedOperation) }
        guard UID(command.text(.affectedSOPClassUID) ?? command.text(.requestedSOPClassUID) ?? "") == abstractSyntax else {
            return OperationAnswer(.noSuchSOPClass, "not the class of the presentation context")
        }
        let instance = command.text(.affectedSOPInstanceUID) ?? command.text(.requestedSOPInstanceUID)
        if let instance, UID(instance) == nil { return OperationAnswer(.invalidSOPInstance, "malformed SOP Instance UID") }
        guard !received.isCut else { return OperationAnswer(.resourceLimitation, "data set longer than \(Message.longestDataSet >> 20) MB") }
        let dataSet: DataSet?
        do {
            dataSet = try received.message.dataSet.map { try DataSet(decoding: $0, as: received.transferSyntax) }
        } catch {
            logger.warning("A request cannot be read: \(error)")
            return OperationAnswer(.processingFailure, "data set cannot be read")
        }
        return service.answer(
            OperationRequest(
                operation, sopClassUID: abstractSyntax, sopInstanceUID: instance.flatMap { UID($0) },
                typeID: command[.actionTypeID] ?? command[.eventTypeID], dataSet: dataSet),
            on: info)
    }

    // MARK: Reports

    private func report(by service: any MessageService, _ abstractSyntax: UID, on info: AssociationInfo) throws {
        guard outstanding == nil, let report = service.nextReport(on: info) else { return }
        guard let context = Message.context(of: abstractSyntax, on: handle) else { return }
        lastMessageID &+= 1
        outstanding = (report, service, lastMessageID)
        try Message.eventReport(report, messageID: lastMessageID, presentationContextID: context.id, as: context.transferSyntax)
            .send(on: handle, peer: address)
    }

    /// Throws when it answers nothing that was asked.
    private func takeAnswer(_ message: Message, on info: AssociationInfo) throws -> Bool {
        guard let (report, service, messageID) = outstanding, message.command[.messageIDBeingRespondedTo] == messageID,
              let status = message.command[.status] else {
            throw NetworkError(.protocolViolation, "\(address): an answer to nothing that was asked")
        }
        outstanding = nil
        service.reported(report, .success(DIMSEStatus(rawValue: status)), on: info)
        try self.report(by: service, report.sopClassUID, on: info)
        return true
    }
}
