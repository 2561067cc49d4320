import Foundation

/// A peer that speaks PDUs by hand (PS3.8 9.3), so that it can also speak them wrongly.
final class RawPeer {
    private let descriptor: Int32

    /// Connects; nil when refused.
    init?(port: Int, ipv6: Bool = false) {
        descriptor = socket(ipv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let result: Int32
        if ipv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = UInt16(port).bigEndian
            address.sin6_addr = in6addr_loopback
            result = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) } }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            result = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } }
        }
        if result != 0 {
            Glibc.close(descriptor)
            return nil
        }
    }

    deinit { Glibc.close(descriptor) }

    /// Sends all bytes; false when the other side has closed.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Closes with a reset, as a machine that lost its power does.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        shutdown(descriptor, Int32(SHUT_RDWR))
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count), have = 0
        while have < count {
            let got = bytes[have...].withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard got > 0 else { return nil }
            have += got
        }
        return bytes
    }

    /// The next PDU's type and body; nil when the connection is closed, or nothing comes for ten seconds.
    func pdu() -> (type: UInt8, body: [UInt8])? {
        guard let head = receive(6) else { return nil }
        guard let body = receive(head[2...].reduce(0) { $0 << 8 | Int($1) }) else { return nil }
        return (head[0], body)
    }

    /// The result of each presentation context in an A-ASSOCIATE-AC with its transfer syntax.
    static func contexts(in body: [UInt8]) -> [UInt8: (result: UInt8, syntax: String)] {
        var found: [UInt8: (UInt8, String)] = [:], at = 68
        while at + 4 <= body.count {
            let length = Int(body[at + 2]) << 8 | Int(body[at + 3])
            if body[at] == 0x21 {
                let syntax = body[(at + 12)..<(at + 4 + length)]
                found[body[at + 4]] = (body[at + 6], String(decoding: syntax.prefix { $0 != 0 }, as: UTF8.self))
            }
            at += 4 + length
        }
        return found
    }

    /// The sub-items of the user information in an A-ASSOCIATE-AC, by their type.
    static func userItems(in body: [UInt8]) -> [UInt8: [[UInt8]]] {
        func items(_ bytes: ArraySlice<UInt8>) -> [(type: UInt8, content: ArraySlice<UInt8>)] {
            var found: [(UInt8, ArraySlice<UInt8>)] = [], rest = bytes
            while rest.count >= 4 {
                let at = rest.startIndex, length = Int(rest[at + 2]) << 8 | Int(rest[at + 3])
                found.append((rest[at], rest[(at + 4)..<min(at + 4 + length, rest.endIndex)]))
                rest = rest.dropFirst(4 + length)
            }
            return found
        }
        let user = items(body.dropFirst(68)).filter { $0.type == 0x50 }.flatMap { items($0.content) }
        return Dictionary(grouping: user, by: \.type).mapValues { $0.map { Array($0.content) } }
    }

    // MARK: PDUs

    static func pdu(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [type, 0] + big(body.count, 4) + body }

    static func big(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    static func little(_ value: Int, _ count: Int) -> [UInt8] { big(value, count).reversed() }

    static func item(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [type, 0] + big(body.count, 2) + body }

    static func associateRequest(
        called: String = "ANY", calling: String = "RAW", application: String = "1.2.840.10008.3.1.1.1", version: Int = 1,
        contexts: [(String, [String])], userItems: [UInt8] = []
    ) -> [UInt8] {
        func padded(_ title: String) -> [UInt8] { Array((title + String(repeating: " ", count: 16)).utf8.prefix(16)) }
        var body: [UInt8] = big(version, 2) + [0, 0] + padded(called) + padded(calling) + [UInt8](repeating: 0, count: 32)
        body += item(0x10, Array(application.utf8))
        for (index, context) in contexts.enumerated() {
            body += item(0x20, [UInt8(2 * index + 1), 0, 0, 0] + item(0x30, Array(context.0.utf8)) + context.1.flatMap { item(0x40, Array($0.utf8)) })
        }
        body += item(0x50, item(0x51, big(16384, 4)) + item(0x52, Array("1.2.3".utf8)) + userItems)
        return pdu(1, body)
    }

    static func data(_ context: UInt8, command: Bool, last: Bool, _ bytes: [UInt8]) -> [UInt8] {
        pdu(4, big(bytes.count + 2, 4) + [context, (command ? 1 : 0) | (last ? 2 : 0)] + bytes)
    }

    static func command(_ elements: [(Int, [UInt8])]) -> [UInt8] {
        let body = elements.flatMap { little(0, 2) + little($0.0, 2) + little($0.1.count, 4) + $0.1 }
        return little(0, 2) + little(0, 2) + little(4, 4) + little(body.count, 4) + body
    }

    static func storeRequest(sopClass: String = "1.2.840.10008.5.1.4.1.1.2", instance: String = "2.25.5") -> [UInt8] {
        func even(_ text: String) -> [UInt8] { Array(text.utf8) + (text.utf8.count % 2 == 0 ? [] : [0]) }
        return command([(0x0002, even(sopClass)), (0x0100, little(1, 2)), (0x0110, little(7, 2)), (0x0700, little(0, 2)), (0x0800, little(0, 2)), (0x1000, even(instance))])
    }

    static let echoRequest = command([(0x0002, Array("1.2.840.10008.1.1\0".utf8)), (0x0100, little(0x30, 2)), (0x0110, little(1, 2)), (0x0800, little(0x101, 2))])
    static let releaseRequest = pdu(5, [0, 0, 0, 0])
    static let ct = ("1.2.840.10008.5.1.4.1.1.2", ["1.2.840.10008.1.2.1"])

    /// The status in a response; nil when none came.
    func status() -> UInt16? {
        guard let (type, body) = pdu(), type == 4 else { return nil }
        let pattern = RawPeer.little(0, 2) + RawPeer.little(0x0900, 2) + RawPeer.little(2, 4)
        for at in 0..<max(0, body.count - 9) where Array(body[at..<at + 8]) == pattern { return UInt16(body[at + 8]) | UInt16(body[at + 9]) << 8 }
        return nil
    }
}

/// A server that says the same to whoever comes first, and closes.
final class RawServer: Sendable {
    let port: Int
    private let listener: Int32

    init(answer: [UInt8]) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in(), length = socklen_t(MemoryLayout<sockaddr_in>.size)
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let listener = listener
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length)
                listen(listener, 5)
                _ = getsockname(listener, $0, &length)
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            var request = [UInt8](repeating: 0, count: 65536)
            _ = recv(connection, &request, request.count, 0)
            _ = Glibc.send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
            Glibc.close(connection)
        }.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
    }
}
