import ImagingGeometry

/// The bits of BINARY frames: the first pixel in the lowest bit, without padding between rows or frames (PS3.5 8.1.1, D.1).
struct BitPacking {
    private(set) var bytes: [UInt8]
    private var count = 0

    /// Room for so many pixels; the value field's length is even (PS3.5 7.1.1).
    init(pixels: Int) {
        bytes = [UInt8](repeating: 0, count: (pixels + 15) / 16 * 2)
    }

    /// Appends pixels of 0 or 1.
    mutating func append(_ pixels: UnsafeBufferPointer<UInt8>) {
        precondition(count + pixels.count <= bytes.count * 8)
        let raw = UnsafeRawBufferPointer(pixels), shift = UInt64(count % 8)
        var at = count / 8
        bytes.withUnsafeMutableBufferPointer { bytes in
            for start in stride(from: 0, to: raw.count - 7, by: 8) {
                let bits = Self.gathered(raw.loadUnaligned(fromByteOffset: start, as: UInt64.self)) << shift
                bytes[at] |= UInt8(truncatingIfNeeded: bits)
                at += 1
                if shift > 0 { bytes[at] = UInt8(truncatingIfNeeded: bits >> 8) }
            }
        }
        count += pixels.count / 8 * 8
        for pixel in pixels.suffix(pixels.count % 8) {
            bytes[count / 8] |= (pixel & 1) << UInt8(count % 8)
            count += 1
        }
    }

    /// The lowest bits of eight bytes as one byte, the first byte's lowest: the product brings each to the top byte.
    private static func gathered(_ eight: UInt64) -> UInt64 {
        ((UInt64(littleEndian: eight) & 0x0101_0101_0101_0101) &* 0x0102_0408_1020_4080) >> 56
    }
}

/// Whether any of the pixels is not 0.
func holdsAny(_ pixels: UnsafeBufferPointer<UInt8>) -> Bool {
    let raw = UnsafeRawBufferPointer(pixels)
    // Blocks of words without a branch: the compiler turns them into vector instructions.
    let block = 1024
    for start in stride(from: 0, to: raw.count, by: block) {
        if start + block <= raw.count {
            var any: UInt64 = 0
            for at in stride(from: start, to: start + block, by: 8) { any |= raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
            if any != 0 { return true }
        } else if raw[start...].contains(where: { $0 != 0 }) { return true }
    }
    return false
}
