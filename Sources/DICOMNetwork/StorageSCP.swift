import DICOMCore
import CDCMTK
import Foundation
import Logging
import Synchronization

/// Receives C-ECHO and C-STORE (PS3.4 annexes A and B) from any number of peers.
///
/// One thread watches the listening socket and every connection whose association request is not there in whole, so that idle
/// and slow clients cost nobody anything; each association then has a thread of its own.
public final class StorageSCP: Sendable {
    private let configuration: StorageSCPConfiguration
    private let handler: any StorageHandler
    private let services: [UID: any MessageService]
    private let logger: Logger
    private let state = Mutex(State())
    private let acceptor = DispatchGroup()
    private let associations = DispatchGroup()

    private struct State {
        var listener: Listener?
        var isStopping = false
        var lastID: UInt64 = 0
        /// A second descriptor of each running association's socket, to shut it down by.
        var running: [UInt64: Int32] = [:]
    }

    /// Connections that may wait with their association requests; when there are more, the oldest goes.
    private static let maximumPending = 512
    /// Seconds without accepting after the system ran out of descriptors.
    private static let exhaustionPause = 1

    /// An SCP that does nothing until started; it offers the services beside storage.
    public init(configuration: StorageSCPConfiguration, handler: any StorageHandler, services: [any MessageService] = [], logger: Logger) {
        self.configuration = configuration
        self.handler = handler
        self.services = services.reduce(into: [:]) { all, service in for uid in service.sopClassUIDs { all[uid] = service } }
        self.logger = logger
    }

    /// Listens, and returns the port; from then on the handler is called.
    ///
    /// - Throws: `NetworkError` when the port is taken or not allowed; `DICOMError` when the data dictionary is missing.
    public func start() throws -> Int {
        try Toolkit.checkDictionary()
        cdcmtk_network_start()
        let listener = try Listener(address: configuration.address, port: configuration.port)
        state.withLock { state in
            precondition(state.listener == nil, "a StorageSCP starts once")
            state.listener = listener
        }
        acceptor.enter()
        thread("storage scp \(listener.port)") { [self] in
            accept(from: listener)
            acceptor.leave()
        }
        logger.info("Listening for associations", metadata: ["port": "\(listener.port)"])
        return listener.port
    }

    /// Stops listening, lets running associations come to their end for a while, then breaks them. Returns when all are over.
    public func stop() {
        let first = state.withLock { state in
            defer { state.isStopping = true }
            state.listener?.interrupt()
            return state.listener != nil && !state.isStopping
        }
        guard first else { return }
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

// MARK: - Waiting for association requests

extension StorageSCP {
    private func accept(from listener: Listener) {
        var pending: [PendingConnection] = []
        var pausedUntil: ContinuousClock.Instant?
        defer { for connection in pending { close(connection.descriptor) } }
        while !state.withLock({ $0.isStopping }) {
            let now = ContinuousClock.now
            if let until = pausedUntil, until <= now { pausedUntil = nil }
            for connection in pending where connection.deadline <= now { close(connection.descriptor) }
            pending.removeAll { $0.deadline <= now }

            var watched = [pollfd(fd: pausedUntil == nil ? listener.descriptor : -1, events: Int16(POLLIN), revents: 0)]
            watched += pending.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
            let next = (pending.map(\.deadline) + [pausedUntil].compactMap { $0 }).min()
            poll(&watched, nfds_t(watched.count), next.map { milliseconds(until: $0) } ?? -1)

            var waiting: [PendingConnection] = []
            for (var connection, watched) in zip(pending, watched.dropFirst()) {
                if watched.revents == 0 || !take(&connection) { waiting.append(connection) }
            }
            pending = waiting
            if watched[0].revents != 0, !acceptAll(from: listener, into: &pending) {
                pausedUntil = .now + .seconds(Self.exhaustionPause)
            }
        }
    }

    /// Milliseconds to an instant, at least one, so that a wait never ends before it.
    private func milliseconds(until instant: ContinuousClock.Instant) -> Int32 {
        let left = ContinuousClock.now.duration(to: instant)
        return Int32(clamping: max(0, left.components.seconds) * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1)
    }

    /// Accepts what is there; false when the system has no descriptors left.
    private func acceptAll(from listener: Listener, into pending: inout [PendingConnection]) -> Bool {
        while let (descriptor, address) = listener.accept() {
            if pending.count >= Self.maximumPending { close(pending.removeFirst().descriptor) }
            pending.append(PendingConnection(descriptor: descriptor, address: address, deadline: .now + .seconds(configuration.associationTimeout)))
        }
        guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) else { return true }
        logger.error("Cannot accept connections: \(String(cString: strerror(errno)))")
        return false
    }

    /// Deals with a connection that something happened on; false when it is to wait on.
    private func take(_ connection: inout PendingConnection) -> Bool {
        switch connection.examine() {
        case .waiting: return false
        case .closed: close(connection.descriptor)
        case .malformed:
            logger.notice("Closed a connection that does not begin with an association request", metadata: ["peer": "\(connection.address)"])
            connection.answerAndClose(abortPDU)
        case .complete:
            guard let id = admit(connection) else {
                logger.warning("Rejected an association: too many are running", metadata: ["peer": "\(connection.address)", "maximum": "\(configuration.maximumAssociations)"])
                connection.answerAndClose(AssociationRejection.localLimitExceeded.pdu)
                return true
            }
            let (descriptor, address) = (connection.descriptor, connection.address)
            thread("association \(id)") { [self] in
                serve(descriptor, id: id, address: address)
                dismiss(id)
            }
        }
        return true
    }

    private func admit(_ connection: PendingConnection) -> UInt64? {
        state.withLock { state in
            guard state.running.count < configuration.maximumAssociations else { return nil }
            let copy = fcntl(connection.descriptor, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { return nil }
            state.lastID += 1
            state.running[state.lastID] = copy
            associations.enter()
            return state.lastID
        }
    }

    private func dismiss(_ id: UInt64) {
        state.withLock { state in
            if let copy = state.running.removeValue(forKey: id) { close(copy) }
        }
        associations.leave()
    }
}

// MARK: - An association

extension StorageSCP {
    private func serve(_ descriptor: Int32, id: UInt64, address: String) {
        var logger = logger
        logger[metadataKey: "association"] = "\(id)"
        logger[metadataKey: "peer"] = "\(address)"
        var error = cdcmtk_error()
        let received = withIdentity(maximumPDU: configuration.maximumPDU) {
            cdcmtk_association_receive(descriptor, $0, Int32(configuration.messageTimeout), &error)
        }
        guard let received else {
            logger.notice("Association not established: \(NetworkError(error, on: address))")
            return
        }
        let association = AcceptedAssociation(handle: received, id: id, address: address, handler: handler, services: services, logger: logger)
        association.serve()
    }
}
