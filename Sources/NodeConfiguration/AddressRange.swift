import Foundation

/// An IPv4 or IPv6 address in numbers, or a network of them in CIDR notation (RFC 4632, RFC 4291 2.3).
public struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// As it was written.
    public let description: String
    /// 4 bytes of IPv4, or 16 of IPv6, in network order.
    private let bytes: [UInt8]
    /// Leading bits that an address must share.
    private let prefixLength: Int

    /// `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32`; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let bytes = Self.bytes(of: String(parts[0])), parts.count <= 2 else { return nil }
        var length = bytes.count * 8
        if parts.count == 2 {
            guard let given = Int(parts[1]), parts[1].allSatisfy(\.isNumber), (0...length).contains(given) else { return nil }
            length = given
        }
        (self.description, self.bytes, self.prefixLength) = (text, bytes, length)
    }

    /// Whether a numerical address lies in the range; an IPv6 zone (`%eth0`) does not count.
    public func contains(_ address: String) -> Bool {
        guard let other = Self.bytes(of: String(address.prefix { $0 != "%" })), other.count == bytes.count else { return false }
        return bytes.indices.allSatisfy { index in
            let bits = min(max(prefixLength - index * 8, 0), 8)
            return (bytes[index] ^ other[index]) >> (8 - bits) == 0
        }
    }

    private static func bytes(of address: String) -> [UInt8]? {
        var four = in_addr(), six = in6_addr()
        if inet_pton(AF_INET, address, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        if inet_pton(AF_INET6, address, &six) == 1 { return withUnsafeBytes(of: &six) { Array($0) } }
        return nil
    }
}
