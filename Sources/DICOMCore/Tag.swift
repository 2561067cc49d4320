import CDCMTK

/// A data element tag (PS3.5 7.1.1).
public struct Tag: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let group, element: UInt16

    /// The tag (group, element).
    public init(_ group: UInt16, _ element: UInt16) {
        self.group = group
        self.element = element
    }

    /// The tag as one number, group first.
    public var number: UInt32 { UInt32(group) << 16 | UInt32(element) }

    public static func < (a: Tag, b: Tag) -> Bool { a.number < b.number }

    /// The value representation in the toolkit's dictionary, two letters; nil where it knows none, or several.
    public var valueRepresentation: String? {
        var letters = [CChar](repeating: 0, count: 3)
        guard cdcmtk_tag_vr(group, element, &letters) != 0 else { return nil }
        return String(decoding: letters.prefix(2).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// `PatientID (0010,0020)`, the keyword from the toolkit's dictionary.
    public var description: String {
        var name = [CChar](repeating: 0, count: 80)
        cdcmtk_tag_name(group, element, &name, name.count)
        let hex = [group, element].map { String(String(0x10000 + UInt32($0), radix: 16).dropFirst()).uppercased() }
        return "\(String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)) (\(hex[0]),\(hex[1]))"
    }
}
