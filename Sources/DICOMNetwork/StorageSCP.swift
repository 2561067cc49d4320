import CDCMTK
import DICOMCore
import Foundation
import Logging
import Synchronization

/// Receives C-ECHO and C-STORE (PS3.4 annexes A and B) from any number of peers.
///
/// One thread watches the listening sockets and every connection whose association request is not there in whole, TLS handshakes
/// included, so that idle and slow clients cost nobody anything; each association then has a thread of its own.
public final class StorageSCP: Sendable {
    let configuration: StorageSCPConfiguration
    let handler: any StorageHandler
    let logger: Logger
    let negotiator: Negotiator
    private let services: [UID: any MessageService]
    let state = Mutex(State())
    /// Wakes the accepting thread.
    let wakening = Wakening()
    private let acceptor = DispatchGroup()
    private let associations = DispatchGroup()

    struct State {
        var started = false
        var isStopping = false
        /// Whether requests wait for an association to end.
        var hasQueue = false
        var lastID: UInt64 = 0
        /// A second descriptor of each running association's socket, to shut it down by.
        var running: [UInt64: Int32] = [:]
        var tls: ReloadingTLS?
        var securePort: Int?
    }

    /// An SCP that does nothing until started; it offers the services beside storage.
    public init(configuration: StorageSCPConfiguration, handler: any StorageHandler, services: [any MessageService] = [], logger: Logger) {
        self.configuration = configuration
        self.handler = handler
        self.services = services.reduce(into: [:]) { all, service in for uid in service.sopClassUIDs { all[uid] = service } }
        self.logger = logger
        negotiator = Negotiator(services: Set(self.services.keys.map(\.string)), takesPrivateSOPClasses: configuration.takesPrivateSOPClasses)
    }

    /// Listens, and returns the port, that of TLS where there is no other; from then on the handler is called.
    ///
    /// - Throws: `NetworkError` when a port is taken or not allowed, or a certificate cannot be used; `DICOMError` when the data
    ///   dictionary is missing.
    public func start() throws -> Int {
        try Toolkit.checkDictionary()
        cdcmtk_network_start()
        let plain = try configuration.port.map { try Listener(address: configuration.address, port: $0) }
        let tls = try configuration.securePort.flatMap { _ in try configuration.tls.map { try ReloadingTLS($0, logger: logger) } }
        let spoken = try tls.map { _ in try Listener(address: configuration.address, port: configuration.securePort ?? 0, isSecure: true) }
        let listeners = [plain, spoken].compactMap { $0 }
        guard let first = listeners.first else { throw NetworkError(.cannotListen, "There is no port to listen on") }
        state.withLock { state in
            precondition(!state.started, "a StorageSCP starts once")
            (state.started, state.tls, state.securePort) = (true, tls, spoken?.port)
        }
        acceptor.enter()
        thread("storage scp \(first.port)") { [self] in
            accept(from: listeners, tls: tls)
            acceptor.leave()
        }
        logger.info("Listening for associations", metadata: ["ports": "\(listeners.map { "\($0.port)\($0.isSecure ? " (TLS)" : "")" }.joined(separator: ", "))"])
        return first.port
    }

    /// The port that TLS is spoken on; nil when there is none, or before the start.
    public var securePort: Int? { state.withLock { $0.securePort } }

    /// Looks now whether certificates have changed; that is done for each new connection, too.
    public func reloadCertificates() { _ = state.withLock { $0.tls }?.current() }

    /// Stops listening, lets running associations come to their end for a while, then breaks them. Returns when all are over.
    public func stop() {
        let first = state.withLock { state in
            defer { state.isStopping = true }
            return state.started && !state.isStopping
        }
        guard first else { return }
        wakening.ring()
        acceptor.wait()
        if associations.wait(timeout: .now() + .seconds(configuration.stopTimeout)) == .timedOut {
            state.withLock { state in
                logger.notice("Breaking associations that did not end in time", metadata: ["count": "\(state.running.count)"])
                for socket in state.running.values { shutdown(socket, Int32(SHUT_RDWR)) }
            }
            associations.wait()
        }
    }

    private func thread(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }
}

// MARK: - Associations

extension StorageSCP {
    /// A number for one more association; nil when too many run.
    func enter(_ connection: PendingConnection) -> UInt64? {
        state.withLock { state in
            guard state.running.count < configuration.maximumAssociations, let copy = connection.copy() else {
                state.hasQueue = true
                return nil
            }
            state.lastID += 1
            state.running[state.lastID] = copy
            associations.enter()
            return state.lastID
        }
    }

    func leave(_ id: UInt64) {
        let isAwaited = state.withLock { state in
            if let copy = state.running.removeValue(forKey: id) { close(copy) }
            defer { state.hasQueue = false }
            return state.hasQueue
        }
        if isAwaited { wakening.ring() }
        associations.leave()
    }

    /// Serves an association on a thread of its own.
    func serve(_ connection: PendingConnection, _ answer: AssociateAnswer, _ info: AssociationInfo, _ logger: Logger) {
        // The handle goes from one thread to the other.
        nonisolated(unsafe) let handle = connection.release()
        thread("association \(info.id)") { [self] in
            var error = cdcmtk_error()
            let received = withIdentity(maximumPDU: configuration.maximumPDU) {
                cdcmtk_association_receive(handle, $0, Int32(configuration.messageTimeout), &error)
            }
            if let received {
                AcceptedAssociation(handle: received, info: info, answer: answer, handler: handler, services: services, logger: logger).serve()
            } else {
                logger.notice("Association not established: \(NetworkError(error, on: info.peerAddress))")
                handler.ended(info, released: false)
            }
            leave(info.id)
        }
    }
}
