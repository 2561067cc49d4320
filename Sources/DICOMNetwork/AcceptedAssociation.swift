import CDCMTK
import DICOMCore
import Logging

/// An association that a peer asked for, served on one thread from its request to its end.
final class AcceptedAssociation {
    private let handle: OpaquePointer
    private let info: AssociationInfo
    private let answer: AssociateAnswer
    private let handler: any StorageHandler
    private let services: [UID: any MessageService]
    private let logger: Logger

    init(handle: OpaquePointer, info: AssociationInfo, answer: AssociateAnswer, handler: any StorageHandler, services: [UID: any MessageService], logger: Logger) {
        (self.handle, self.info, self.answer, self.handler, self.services, self.logger) = (handle, info, answer, handler, services, logger)
    }

    private var address: String { info.peerAddress }
    /// The presentation contexts in which C-STORE was negotiated.
    private lazy var storageContexts = Set(answer.contexts.filter { $0.isStorage }.map(\.id))

    deinit { cdcmtk_association_free(handle) }

    /// Accepts, then answers requests until the peer releases or something breaks.
    func serve() {
        var error = cdcmtk_error(), request = cdcmtk_request()
        let messages = ServedMessages(handle: handle, address: address, services: services, logger: logger)
        defer { messages.end(on: info) }
        var isOpen = accept()
        while isOpen {
            switch Int(cdcmtk_association_next(handle, &request, &error)) {
            case CDCMTK_ECHO_REQUEST: isOpen = respond(.success)
            case CDCMTK_STORE_REQUEST: isOpen = store(request, on: info)
            case CDCMTK_RELEASE_REQUEST:
                // Before the peer hears of it: what it does next may rest on the handler having known.
                handler.ended(info, released: true)
                cdcmtk_association_confirm_release(handle)
                logger.debug("Association released")
                return
            case CDCMTK_OTHER_REQUEST: isOpen = messages.takeOne(in: text(request.abstract_syntax), on: info)
            default:
                logger.notice("Association over: \(NetworkError(error, on: address))")
                isOpen = false
            }
        }
        handler.ended(info, released: false)
        cdcmtk_association_abort(handle)
    }

    private func accept() -> Bool {
        var error = cdcmtk_error()
        let strings = CStrings()
        let contexts = answer.contexts.map { context in
            cdcmtk_context(id: context.id, result: context.result.rawValue, transfer_syntax: context.transferSyntax.map { strings[$0] })
        }
        let accepted = withExtendedLifetime(strings) {
            cdcmtk_association_accept(handle, contexts, contexts.count, answer.userItems, answer.userItems.count, &error)
        }
        if accepted == 0 { logger.notice("Association not established: \(NetworkError(error, on: address))") }
        return accepted != 0
    }

    /// Whether the answer went out.
    private func respond(_ status: DIMSEStatus) -> Bool {
        var error = cdcmtk_error()
        guard cdcmtk_association_respond(handle, status.rawValue, status.comment, &error) != 0 else {
            logger.notice("Association over: \(NetworkError(error, on: address))")
            return false
        }
        return true
    }

    /// Takes one instance; false when the association is over.
    private func store(_ raw: cdcmtk_request, on info: AssociationInfo) -> Bool {
        guard storageContexts.contains(raw.context) else { return refuse(.unrecognizedOperation) }
        guard let sopClass = UID(text(raw.sop_class)) else { return refuse(.sopClassNotSupported) }
        guard let instance = UID(text(raw.sop_instance)) else { return refuse(.invalidSOPInstance) }
        guard let syntax = UID(text(raw.transfer_syntax)) else { return refuse(.cannotUnderstand) }
        let request = StoreRequest(sopClassUID: sopClass, sopInstanceUID: instance, transferSyntaxUID: syntax)
        switch handler.destination(of: request, on: info) {
        case .refuse(let status): return refuse(status)
        case .file(let arriving): return receive(arriving, announcedBy: request)
        }
    }

    private func receive(_ arriving: any ArrivingInstance, announcedBy request: StoreRequest) -> Bool {
        var error = cdcmtk_error(), received = cdcmtk_received()
        var start: UnsafePointer<UInt8>?, count = 0
        var result = cdcmtk_association_begin_file(handle, arriving.path, &start, &count, &error)
        if result != 0 {
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            if let header = DataSet(startOfFile: bytes, stoppingBefore: .pixelData) { arriving.began(with: header) }
            result = cdcmtk_association_receive_file(handle, &received, &error)
        }
        switch result {
        case 1: return respond(arriving.stored(in: ReceivedFile(received, path: arriving.path, on: handle)))
        case 2:
            logger.error("Instance \(request.sopInstanceUID) not stored: \(text(error.message))", metadata: ["path": "\(arriving.path)"])
            arriving.discarded()
            return respond(.outOfResources)
        default:
            logger.notice("Instance \(request.sopInstanceUID) did not arrive: \(NetworkError(error, on: address))")
            arriving.discarded()
            return false
        }
    }

    /// Reads the data set off and answers with a status that is no success.
    private func refuse(_ status: DIMSEStatus) -> Bool {
        var error = cdcmtk_error()
        logger.warning("Instance refused with \(status)")
        var start: UnsafePointer<UInt8>?, count = 0
        guard cdcmtk_association_begin_file(handle, nil, &start, &count, &error) != 0, cdcmtk_association_receive_file(handle, nil, &error) != 0 else {
            logger.notice("Association over: \(NetworkError(error, on: address))")
            return false
        }
        return respond(status)
    }
}
