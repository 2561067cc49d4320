/// A PNG file (ISO/IEC 15948) of palette indices, its pixels stored without compression: no library, and every viewer reads it.
struct PNG {
    /// Encodes `width` x `height` indices, rows from the top, into a palette of at most 256 sRGB colours.
    static func encode(_ indices: [UInt8], width: Int, height: Int, palette: [SIMD3<UInt8>]) -> [UInt8] {
        precondition(indices.count == width * height && palette.count <= 256)
        var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        // Eight bits a pixel, colour type 3 (palette), no interlacing.
        append(&file, "IHDR", bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 3, 0, 0, 0])
        append(&file, "PLTE", palette.flatMap { [$0.x, $0.y, $0.z] })
        // Every row starts with its filter type, none.
        append(&file, "IDAT", zlib((0..<height).flatMap { [0] + indices[$0 * width..<($0 + 1) * width] }))
        append(&file, "IEND", [])
        return file
    }

    private static func append(_ file: inout [UInt8], _ type: String, _ data: [UInt8]) {
        let body = Array(type.utf8) + data
        file += bigEndian(UInt32(data.count)) + body + bigEndian(crc32(body))
    }

    /// Stored blocks in a zlib stream (RFC 1950, RFC 1951 3.2.4).
    private static func zlib(_ data: [UInt8]) -> [UInt8] {
        let longest = 65_535
        var stream: [UInt8] = [0x78, 0x01]
        for start in stride(from: 0, to: data.count, by: longest) {
            let end = min(start + longest, data.count), length = UInt16(end - start)
            stream += [end == data.count ? 1 : 0, UInt8(length & 0xFF), UInt8(length >> 8), UInt8(~length & 0xFF), UInt8(~length >> 8)]
            stream += data[start..<end]
        }
        var a: UInt32 = 1, b: UInt32 = 0
        for byte in data {
            a = (a + UInt32(byte)) % 65_521
            b = (b + a) % 65_521
        }
        return stream + bigEndian(b << 16 | a)
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { crcTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    }

    private static let crcTable: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    private static func bigEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
}
