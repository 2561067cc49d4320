/// An application entity title (PS3.5 6.2, VR AE): 1 to 16 printable ASCII characters, no backslash.
public struct AETitle: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The title without the leading and trailing spaces that mean nothing.
    public let string: String

    /// Validates a title; nil when it is none.
    public init?(_ string: String) {
        let utf8 = Array(string.utf8)
        guard utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x5C }),
              let first = utf8.firstIndex(where: { $0 != 0x20 }), let last = utf8.lastIndex(where: { $0 != 0x20 }),
              last - first < 16
        else { return nil }
        self.string = String(decoding: utf8[first...last], as: UTF8.self)
    }

    public var description: String { string }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let title = AETitle(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an AE title: 1 to 16 printable ASCII characters, no backslash")
        }
        self = title
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(string)
    }
}
