import CDCMTK
import Glibc

/// A listening TCP socket, close-on-exec and not blocking; closed with its owner.
final class Listener: Sendable {
    let descriptor: Int32
    /// The port the system gave.
    let port: Int

    /// Listens on a numerical address, or with nil on every one, IPv6 and IPv4 by one socket.
    init(address: String?, port: Int) throws(NetworkError) {
        let place = "port \(port)" + (address.map { " of \($0)" } ?? "")
        guard let port = UInt16(exactly: port) else { throw NetworkError(.cannotListen, "There is no \(place)") }
        var candidates = [address]
        if address == nil { candidates = ["::", "0.0.0.0"] } // the second where the system has no IPv6
        var reason = ""
        for candidate in candidates {
            guard let descriptor = Self.open(candidate!, port, &reason) else { continue }
            self.descriptor = descriptor
            self.port = Self.port(of: descriptor)
            return
        }
        throw NetworkError(.cannotListen, "Cannot listen on \(place): \(reason)")
    }

    deinit { close(descriptor) }

    private static func open(_ address: String, _ port: UInt16, _ reason: inout String) -> Int32? {
        var hints = addrinfo(), found: UnsafeMutablePointer<addrinfo>?
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        guard getaddrinfo(address, String(port), &hints, &found) == 0, let info = found?.pointee else {
            reason = "\(address) is no numerical address"
            return nil
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(info.ai_family, info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else {
            reason = String(cString: strerror(errno))
            return nil
        }
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if address == "::" { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0, listen(descriptor, 128) == 0 else {
            reason = String(cString: strerror(errno))
            close(descriptor)
            return nil
        }
        return descriptor
    }

    private static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_storage(), length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &length) }
            // The port lies at the same place in both families.
            return $0.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Int(UInt16(bigEndian: $0.pointee.sin_port)) }
        }
    }

    /// The next connection with the peer's numerical address; nil with an errno when there is none.
    func accept() -> (descriptor: Int32, address: String)? {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let connection = cdcmtk_socket_accept(descriptor, &host, host.count)
        guard connection >= 0 else { return nil }
        let name = String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return (connection, name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name)
    }

    /// Makes whoever waits for a connection go on.
    func interrupt() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// Sets an integer option of a socket; none of those used here can fail on a TCP socket.
func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// A connection whose association request has not come in whole yet. Nothing is read from it, and it has no thread.
struct PendingConnection {
    let descriptor: Int32
    let address: String
    let deadline: ContinuousClock.Instant
    /// Length of the A-ASSOCIATE-RQ with its header, once that is there.
    private(set) var requestLength: Int?
    private var wakings = 0

    enum State { case waiting, complete, closed, malformed }

    /// Bytes of a PDU header: type, reserved, length (PS3.8 9.3.1).
    private static let headerLength = 6
    /// The longest request taken. The system's buffer must hold it whole, which is sure up to some 64 KB: 128 presentation
    /// contexts of 18 transfer syntaxes each.
    private static let longestRequest = 131_072
    /// Fixed part of an A-ASSOCIATE-RQ (PS3.8 table 9-11).
    private static let shortestRequest = 68
    /// The system wakes us below the low-water mark only when its buffer is full; this many times it may.
    private static let mostWakings = 1000

    init(descriptor: Int32, address: String, deadline: ContinuousClock.Instant) {
        (self.descriptor, self.address, self.deadline) = (descriptor, address, deadline)
        // Up to this mark the socket does not count as readable: a byte now and then wakes nobody.
        set(descriptor, SOL_SOCKET, SO_RCVLOWAT, Int32(Self.headerLength))
    }

    /// Looks at what lies in the socket's buffer, after the system said that there is something.
    mutating func examine() -> State {
        wakings += 1
        var header = [UInt8](repeating: 0, count: Self.headerLength)
        let peeked = recv(descriptor, &header, header.count, Int32(MSG_PEEK | MSG_DONTWAIT))
        guard peeked == header.count else { return peeked < 0 && errno == EAGAIN && wakings < Self.mostWakings ? .waiting : .closed }
        let length = header[2...].reduce(0) { $0 << 8 | Int($1) }
        guard header[0] == 1, (Self.shortestRequest...Self.longestRequest).contains(length) else { return .malformed }
        requestLength = Self.headerLength + length
        set(descriptor, SOL_SOCKET, SO_RCVLOWAT, Int32(Self.headerLength + length))
        var available: Int32 = 0
        _ = ioctl(descriptor, UInt(FIONREAD), &available)
        guard available < Self.headerLength + length else {
            set(descriptor, SOL_SOCKET, SO_RCVLOWAT, 1)
            return .complete
        }
        return wakings < Self.mostWakings ? .waiting : .closed
    }

    /// Reads the request off, so that closing does not reset the connection, answers with a PDU and closes.
    func answerAndClose(_ pdu: [UInt8]) {
        var rest = [UInt8](repeating: 0, count: requestLength ?? Self.longestRequest)
        _ = recv(descriptor, &rest, rest.count, Int32(MSG_DONTWAIT))
        _ = send(descriptor, pdu, pdu.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        close(descriptor)
    }
}

extension AssociationRejection {
    /// A-ASSOCIATE-RJ (PS3.8 table 9-21).
    var pdu: [UInt8] { [3, 0, 0, 0, 0, 4, 0, result, source, reason] }
}

/// A-ABORT by the service provider: unexpected PDU parameter (PS3.8 table 9-26).
let abortPDU: [UInt8] = [7, 0, 0, 0, 0, 4, 0, 0, 2, 6]
