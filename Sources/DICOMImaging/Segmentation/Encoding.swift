import DICOMCore

/// The frames around elements in Explicit VR Little Endian (PS3.5 7.1.2 and 7.5), for what is too large for a data set.
enum Encoding {
    /// The tag of an item, which its length follows.
    static let item: [UInt8] = [0xFE, 0xFF, 0x00, 0xE0]
    /// The longest value field of defined length, an even number.
    static let longestValue = Int(UInt32.max) - 1

    /// Tag, VR and length of an element with a 32-bit length: OB, OW, SQ and the like.
    static func header(_ tag: Tag, _ vr: String, _ length: Int) throws(ImagingError) -> [UInt8] {
        guard length <= longestValue else { throw ImagingError(.cannotWrite, "\(tag) would take \(length) bytes, and no element can hold more than \(longestValue).") }
        return littleEndian(tag.group) + littleEndian(tag.element) + Array(vr.utf8) + [0, 0] + littleEndian(UInt32(length))
    }
}

/// The bytes of a number, the lowest first.
func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.littleEndian, Array.init) }
