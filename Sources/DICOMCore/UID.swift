import Crypto

/// A unique identifier (PS3.5 9.1): digits and dots, 64 characters at most.
public struct UID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// The identifier as it stands in data sets, without padding.
    public let string: String

    /// Validates a UID, dropping trailing padding; nil when it is none.
    ///
    /// A component with leading zeros is let through, against PS3.5 9.1: old devices send such, and references
    /// must repeat them. Every UID is safe as a file name.
    public init?(_ string: String) {
        let end = string.utf8.lastIndex { $0 != 0 && $0 != 0x20 }.map(string.utf8.index(after:)) ?? string.startIndex
        let bare = string.utf8[..<end]
        guard (1...64).contains(bare.count),
              bare.allSatisfy({ $0 == 0x2E || (0x30...0x39).contains($0) }),
              bare.split(separator: 0x2E, omittingEmptySubsequences: false).allSatisfy({ !$0.isEmpty })
        else { return nil }
        self.string = String(string[..<end])
    }

    /// A UID written in the program.
    public init(constant: StaticString) {
        guard let uid = UID("\(constant)") else { preconditionFailure("\(constant) is no UID") }
        self = uid
    }

    /// The UID that belongs to these parts and no others: "2.25." (PS3.5 B.2) and the first 128 bits of the SHA-256 over
    /// the parts, each with its length in front, as a decimal number.
    public static func derived(from parts: [String]) -> UID {
        var hash = SHA256()
        for part in parts {
            let bytes = Array(part.utf8)
            withUnsafeBytes(of: UInt64(bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: bytes)
        }
        let number = hash.finalize().prefix(16).reduce(into: UInt128(0)) { $0 = $0 << 8 | UInt128($1) }
        return UID("2.25.\(number)")!
    }

    public var description: String { string }

    public static func < (a: UID, b: UID) -> Bool { a.string < b.string }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let uid = UID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a UID")
        }
        self = uid
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(string)
    }
}
