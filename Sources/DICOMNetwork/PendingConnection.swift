import CDCMTK
import DICOMCore
import Glibc

/// A connection that has no association yet, or none any more; it has no thread, and nothing here waits.
final class PendingConnection {
    let address: String
    /// Whether it came in where TLS is spoken.
    let isSecure: Bool
    private(set) var deadline: ContinuousClock.Instant
    private(set) var state = State.reading(forWriting: false)
    private var handle: OpaquePointer?

    enum State {
        /// TLS handshake and A-ASSOCIATE-RQ are on their way.
        case reading(forWriting: Bool)
        /// The request is there and waits for its turn.
        case queued(AssociateRequest)
        /// The answer is out; the peer may close (Sta13, PS3.8 9.2.1).
        case closing
    }

    enum Event { case nothing, requested(AssociateRequest), malformed, closed, notSecure(String) }

    /// Seconds that a peer may take to close the connection after it was refused.
    private static let closingTimeout = 5

    /// Takes over a connected socket; nil with no memory.
    init?(descriptor: Int32, address: String, tls: TLSContext?, deadline: ContinuousClock.Instant) {
        guard let handle = cdcmtk_connection_create(descriptor, tls?.handle) else { return nil }
        (self.handle, self.address, self.isSecure, self.deadline) = (handle, address, tls != nil, deadline)
    }

    deinit { if let handle { cdcmtk_connection_free(handle) } }

    /// What to wait for.
    var watched: pollfd {
        let events: Int32 = switch state {
        case .reading(true): POLLOUT
        case .reading, .closing: POLLIN
        case .queued: 0 // whether it hangs up is told anyhow
        }
        return pollfd(fd: cdcmtk_connection_socket(handle), events: Int16(events), revents: 0)
    }

    /// Goes on after the system said that something happened.
    func advance() -> Event {
        switch state {
        case .closing: return cdcmtk_connection_drain(handle) != 0 ? .closed : .nothing
        case .queued: return .closed
        case .reading: break
        }
        var error = cdcmtk_error()
        switch Int(cdcmtk_connection_advance(handle, &error)) {
        case CDCMTK_WAITS_TO_READ: state = .reading(forWriting: false)
        case CDCMTK_WAITS_TO_WRITE: state = .reading(forWriting: true)
        case CDCMTK_REQUEST_IS_THERE:
            var count = 0
            let bytes = cdcmtk_connection_request(handle, &count)
            guard let request = AssociateRequest(pdu: UnsafeRawBufferPointer(start: bytes, count: count)) else { return .malformed }
            return .requested(request)
        case CDCMTK_IS_NO_REQUEST: return .malformed
        case CDCMTK_TLS_FAILED: return .notSecure(text(error.message))
        default: return .closed
        }
        return .nothing
    }

    func queue(_ request: AssociateRequest, until: ContinuousClock.Instant) { (state, deadline) = (.queued(request), until) }

    /// Sends a last PDU; the connection then waits for the peer to close.
    func dismiss(with pdu: [UInt8]) {
        cdcmtk_connection_farewell(handle, pdu, pdu.count)
        (state, deadline) = (.closing, .now + .seconds(Self.closingTimeout))
    }

    /// Gives the connection away to an association.
    func release() -> OpaquePointer? {
        defer { handle = nil }
        return handle
    }

    /// A second descriptor of the socket; nil when the system has none left.
    func copy() -> Int32? {
        let copy = fcntl(cdcmtk_connection_socket(handle), F_DUPFD_CLOEXEC, 0)
        return copy < 0 ? nil : copy
    }

    /// The subject of the peer's certificate; nil without.
    var certificateSubject: String? {
        var name = [CChar](repeating: 0, count: TLSContext.longestSubject)
        guard cdcmtk_connection_subject(handle, &name, name.count) != 0 else { return nil }
        let subject = string(name)
        return subject.isEmpty ? nil : subject
    }

    /// The first byte that came: 0x16 is a TLS record where none belongs.
    var speaksTLS: Bool {
        var count = 0
        guard let bytes = cdcmtk_connection_request(handle, &count), count > 0 else { return false }
        return bytes[0] == 0x16
    }
}

extension AssociationRejection {
    /// A-ASSOCIATE-RJ (PS3.8 table 9-21).
    var pdu: [UInt8] { [3, 0, 0, 0, 0, 4, 0, result, source, reason] }
}

/// A-ABORT by the service provider: invalid PDU parameter value (PS3.8 table 9-26).
let abortPDU: [UInt8] = [7, 0, 0, 0, 0, 4, 0, 0, 2, 6]

/// Wakes a thread that waits in poll.
final class Wakening: Sendable {
    /// Readable once it was rung.
    let descriptor: Int32
    private let bell: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "no pipe: \(String(cString: strerror(errno)))")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (descriptor, bell) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(bell)
    }

    func ring() {
        var byte: UInt8 = 0
        _ = write(bell, &byte, 1) // a full pipe wakes just as well
    }

    func take() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(descriptor, &bytes, bytes.count) > 0 {}
    }
}
