/// The bits of BINARY frames: the first pixel in the lowest bit, without padding between rows or frames (PS3.5 8.1.1, D.1).
struct BitPacking {
    /// Whole bytes go out in pieces of about this length.
    private static let pieceLength = 1 << 18
    private let output: (UnsafeRawBufferPointer) -> Void
    private var buffer: [UInt8]
    /// Bits in the buffer; those of a last, unfinished byte stay in it for the next frame.
    private var bits = 0
    private var bytesOut = 0

    /// Packs frames of so many pixels into `output`.
    init(framePixels: Int, output: @escaping (UnsafeRawBufferPointer) -> Void) {
        self.output = output
        buffer = [UInt8](repeating: 0, count: Self.pieceLength + framePixels / 8 + 2)
    }

    /// Appends a frame's pixels, each 0 or 1.
    mutating func append(_ pixels: UnsafeBufferPointer<UInt8>) {
        let raw = UnsafeRawBufferPointer(pixels), shift = UInt64(bits % 8), whole = raw.count / 8
        var at = bits / 8
        buffer.withUnsafeMutableBufferPointer { buffer in
            if shift == 0 {
                for n in 0..<whole { buffer[at &+ n] = UInt8(truncatingIfNeeded: Self.gathered(raw, n &* 8)) }
            } else {
                for n in 0..<whole {
                    let bits = Self.gathered(raw, n &* 8) << shift
                    buffer[at &+ n] |= UInt8(truncatingIfNeeded: bits)
                    buffer[at &+ n &+ 1] = UInt8(truncatingIfNeeded: bits >> 8)
                }
            }
            bits += whole * 8
            for pixel in pixels.suffix(raw.count % 8) {
                at = bits / 8
                buffer[at] = (bits % 8 == 0 ? 0 : buffer[at]) | (pixel & 1) << UInt8(bits % 8)
                bits += 1
            }
        }
        if bits >= Self.pieceLength * 8 { flush() }
    }

    /// Ends the value field, whose length is even (PS3.5 7.1.1).
    mutating func finish() {
        bits = (bits + 7) / 8 * 8
        if (bytesOut + bits / 8) % 2 == 1 {
            buffer[bits / 8] = 0
            bits += 8
        }
        flush()
    }

    private mutating func flush() {
        let whole = bits / 8
        buffer.withUnsafeBytes { output(UnsafeRawBufferPointer(rebasing: $0[..<whole])) }
        if bits % 8 > 0 { buffer[0] = buffer[whole] }
        bits %= 8
        bytesOut += whole
    }

    /// The lowest bits of eight bytes as one byte, the first byte's lowest: the product brings each to the top byte.
    @inline(__always) private static func gathered(_ raw: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        let eight = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        return ((eight & 0x0101_0101_0101_0101) &* 0x0102_0408_1020_4080) >> 56
    }
}

/// Whether any of the pixels is not 0.
func holdsAny(_ pixels: UnsafeBufferPointer<UInt8>) -> Bool {
    let raw = UnsafeRawBufferPointer(pixels)
    // Blocks of words without a branch: the compiler turns them into vector instructions.
    let block = 64
    for start in stride(from: 0, to: raw.count, by: block) {
        if start + block <= raw.count {
            var any: UInt64 = 0
            for at in stride(from: start, to: start + block, by: 8) { any |= raw.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
            if any != 0 { return true }
        } else if raw[start...].contains(where: { $0 != 0 }) { return true }
    }
    return false
}
