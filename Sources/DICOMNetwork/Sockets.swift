import CDCMTK
import Glibc

/// A listening TCP socket, close-on-exec and not blocking; closed with its owner.
final class Listener: Sendable {
    let descriptor: Int32
    /// The port the system gave.
    let port: Int
    /// Whether TLS is spoken there.
    let isSecure: Bool

    /// Listens on a numerical address, or with nil on every one, IPv6 and IPv4 by one socket.
    init(address: String?, port: Int, isSecure: Bool = false) throws(NetworkError) {
        self.isSecure = isSecure
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
        let name = string(host)
        return (connection, name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name)
    }

    /// Whoever connects from now on is refused.
    func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// Sets an integer option of a socket; none of those used here can fail on a TCP socket.
func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}
