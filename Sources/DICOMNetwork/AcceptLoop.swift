import DICOMCore
import Glibc
import Logging

/// Waiting for association requests, and what is answered to them.
extension StorageSCP {
    /// Connections that may wait at one time; when there are more, the oldest goes of the address that has most.
    private static let maximumPending = 640
    /// Seconds without accepting after the system ran out of descriptors.
    private static let exhaustionPause = 1

    func accept(from listeners: [Listener], tls: ReloadingTLS?) {
        var pending: [PendingConnection] = []
        var pausedUntil: ContinuousClock.Instant?
        defer { listeners.forEach { $0.stop() } }
        while !state.withLock({ $0.isStopping }) {
            let now = ContinuousClock.now
            if let until = pausedUntil, until <= now { pausedUntil = nil }
            pending.removeAll { $0.deadline <= now && !expire($0) }

            var watched = [pollfd(fd: wakening.descriptor, events: Int16(POLLIN), revents: 0)]
            watched += listeners.map { pollfd(fd: pausedUntil == nil ? $0.descriptor : -1, events: Int16(POLLIN), revents: 0) }
            watched += pending.map(\.watched)
            let next = (pending.map(\.deadline) + [pausedUntil].compactMap { $0 }).min()
            poll(&watched, nfds_t(watched.count), next.map { milliseconds(until: $0) } ?? -1)

            if watched[0].revents != 0 { wakening.take() }
            let happened = watched.dropFirst(1 + listeners.count)
            pending = zip(pending, happened).filter { $1.revents == 0 || goOn($0) }.map(\.0)
            pending.removeAll { connection in
                if case .queued(let request) = connection.state { return admit(connection, request) == .served }
                return false
            }
            for (listener, watched) in zip(listeners, watched.dropFirst()) where watched.revents != 0 {
                if !acceptAll(from: listener, tls: tls, into: &pending) { pausedUntil = .now + .seconds(Self.exhaustionPause) }
            }
        }
    }

    /// Milliseconds to an instant, at least one, so that a wait never ends before it.
    private func milliseconds(until instant: ContinuousClock.Instant) -> Int32 {
        let left = ContinuousClock.now.duration(to: instant)
        return Int32(clamping: max(0, left.components.seconds) * 1000 + left.components.attoseconds / 1_000_000_000_000_000 + 1)
    }

    /// Accepts what is there; false when the system has no descriptors left.
    private func acceptAll(from listener: Listener, tls: ReloadingTLS?, into pending: inout [PendingConnection]) -> Bool {
        while let (descriptor, address) = listener.accept() {
            if pending.count >= Self.maximumPending { pending.remove(at: leastWelcome(pending)) }
            let connection = PendingConnection(
                descriptor: descriptor, address: address, tls: listener.isSecure ? tls?.current() : nil,
                deadline: .now + .seconds(configuration.associationTimeout))
            if let connection { pending.append(connection) }
        }
        guard [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) else { return true }
        logger.error("Cannot accept connections: \(String(cString: strerror(errno)))")
        return false
    }

    private func leastWelcome(_ pending: [PendingConnection]) -> Int {
        let counts = pending.reduce(into: [String: Int]()) { $0[$1.address, default: 0] += 1 }
        let most = counts.values.max()
        return pending.firstIndex { counts[$0.address] == most } ?? 0
    }

    /// The time of a connection is over; whether it stays to be closed by the peer.
    private func expire(_ connection: PendingConnection) -> Bool {
        guard case .queued = connection.state else { return false }
        logger.warning("Association rejected: too many are running", metadata: ["peer": "\(connection.address)", "maximum": "\(configuration.maximumAssociations)"])
        connection.dismiss(with: AssociationRejection.localLimitExceeded.pdu)
        return true
    }

    /// Deals with a connection that something happened on; whether it stays.
    private func goOn(_ connection: PendingConnection) -> Bool {
        let metadata: Logger.Metadata = ["peer": "\(connection.address)"]
        switch connection.advance() {
        case .nothing: return true
        case .closed: return false
        case .notSecure(let reason):
            logger.notice("Closed a connection: no TLS (\(reason))", metadata: metadata)
            return false
        case .malformed:
            let what = connection.speaksTLS ? "TLS, which is not spoken on this port" : "what is no association request"
            logger.notice("Closed a connection that began with \(what)", metadata: metadata)
            connection.dismiss(with: abortPDU)
            return true
        case .requested(let request):
            if let rejection = request.rejection {
                reject(connection, rejection)
                return true
            }
            let outcome = admit(connection, request)
            if outcome == .noRoom { connection.queue(request, until: .now + .seconds(configuration.queueTimeout)) }
            return outcome != .served
        }
    }

    private enum Outcome { case served, rejected, noRoom }

    /// Gives a request its association, or refuses that, where there is room for one.
    private func admit(_ connection: PendingConnection, _ request: AssociateRequest) -> Outcome {
        guard let id = enter(connection) else { return .noRoom }
        let info = AssociationInfo(
            id: id, callingAETitle: AETitle(request.calling)!, calledAETitle: AETitle(request.called)!, peerAddress: connection.address,
            isSecure: connection.isSecure, certificateSubject: connection.certificateSubject)
        let recognition = handler.recognition(of: request.user, on: info)
        if let rejection = recognition == .refused ? .userNotRecognized : handler.accepts(info) {
            leave(id)
            reject(connection, rejection, calling: info.callingAETitle)
            return .rejected
        }
        var logger = logger
        logger[metadataKey: "association"] = "\(id)"
        logger[metadataKey: "peer"] = "\(info.peerAddress)"
        logger[metadataKey: "calling"] = "\(info.callingAETitle)"
        serve(connection, negotiator.answer(request, isUserRecognized: recognition == .recognized), info, logger)
        return .served
    }

    private func reject(_ connection: PendingConnection, _ rejection: AssociationRejection, calling: AETitle? = nil) {
        var metadata: Logger.Metadata = ["peer": "\(connection.address)"]
        metadata["calling"] = calling.map { "\($0)" }
        logger.notice("Association rejected: \(rejection)", metadata: metadata)
        connection.dismiss(with: rejection.pdu)
    }
}

extension AssociateRequest {
    /// The standard's only application context (PS3.7 A.2.1).
    private static let dicomApplicationContext = "1.2.840.10008.3.1.1.1"

    /// What no association can come of, whoever asks (PS3.8 9.3.4).
    var rejection: AssociationRejection? {
        // Bit 0 is version 1; others say nothing (PS3.8 table 9-11).
        guard protocolVersion & 1 == 1 else { return .protocolVersionNotSupported }
        guard applicationContext == Self.dicomApplicationContext else { return .applicationContextNotSupported }
        guard AETitle(calling) != nil else { return .callingAETitleNotRecognized }
        guard AETitle(called) != nil else { return .calledAETitleNotRecognized }
        return nil
    }

    /// The user identity where it is a name, with a passcode or without.
    var user: UserIdentity? {
        guard let identity, identity.type == 1 || identity.type == 2 else { return nil }
        return .init(name: String(decoding: identity.primary, as: UTF8.self),
                     passcode: identity.type == 2 ? String(decoding: identity.secondary, as: UTF8.self) : nil)
    }
}
