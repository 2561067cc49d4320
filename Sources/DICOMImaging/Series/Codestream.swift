/// What a codestream says of itself, read before a codec believes it: that bounds what a codec allocates and writes.
struct Codestream {
    let columns, rows, components: Int
    /// Bits of a sample.
    let precision: Int
    /// Whether samples are signed, where the standard lets the codestream say.
    let isSigned: Bool?

    /// The frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2), looked for up to the first scan.
    static func jpeg(_ stream: [UInt8]) throws(Refusal) -> Codestream {
        guard try stream.big(at: 0, bytes: 2) == 0xFFD8 else { throw Refusal(.unreadable, "its codestream is no JPEG") }
        var at = 2
        while true {
            guard try stream.big(at: at, bytes: 1) == 0xFF else { throw Refusal(.unreadable, "its codestream has a broken marker") }
            let marker = try stream.big(at: at + 1, bytes: 1)
            if marker == 0xFF { at += 1; continue }  // a fill byte
            guard marker != 0xDA else { throw Refusal(.unreadable, "its codestream has no frame header") }
            let length = try stream.big(at: at + 2, bytes: 2)
            guard length >= 2 else { throw Refusal(.unreadable, "its codestream has a broken segment") }
            if isFrameHeader(marker) {
                return try Codestream(columns: stream.big(at: at + 7, bytes: 2), rows: stream.big(at: at + 5, bytes: 2),
                                      components: stream.big(at: at + 9, bytes: 1), precision: stream.big(at: at + 4, bytes: 1), isSigned: nil)
            }
            at += 2 + length
        }
    }

    /// Whether a JPEG-LS stream has its end, be it padded.
    ///
    /// CharLS 2.4 takes seconds to find that a stream without one is truncated.
    static func isComplete(jpegLS stream: [UInt8]) -> Bool {
        let end = stream.lastIndex { $0 != 0 } ?? 0
        return end > 0 && stream[end] == 0xD9 && stream[end - 1] == 0xFF
    }

    /// SOF0 to SOF15 and JPEG-LS's SOF55; three of the range are other segments.
    private static func isFrameHeader(_ marker: Int) -> Bool {
        marker == 0xF7 || (0xC0...0xCF).contains(marker) && ![0xC4, 0xC8, 0xCC].contains(marker)
    }

    /// The SIZ segment of a JPEG 2000 codestream (ITU-T T.800 A.5.1).
    static func jpeg2000(_ stream: [UInt8]) throws(Refusal) -> Codestream {
        guard try stream.big(at: 0, bytes: 4) == 0xFF4FFF51 else { throw Refusal(.unreadable, "its codestream is no JPEG 2000") }
        let x1 = try stream.big(at: 8, bytes: 4), y1 = try stream.big(at: 12, bytes: 4)
        let x0 = try stream.big(at: 16, bytes: 4), y0 = try stream.big(at: 20, bytes: 4)
        let tileWidth = try stream.big(at: 24, bytes: 4), tileHeight = try stream.big(at: 28, bytes: 4)
        guard x0 < x1, y0 < y1, tileWidth > 0, tileHeight > 0 else { throw Refusal(.unreadable, "its codestream is empty") }
        let across = x1 / tileWidth + 1, down = y1 / tileHeight + 1
        guard max(across, down) <= maximumTiles, across * down <= maximumTiles else { throw Refusal(.unreadable, "its codestream claims too many tiles") }
        guard try stream.big(at: 43, bytes: 2) == 0x0101 else { throw Refusal(.unreadable, "its codestream is subsampled") }
        let depth = try stream.big(at: 42, bytes: 1)
        return Codestream(columns: x1 - x0, rows: y1 - y0, components: try stream.big(at: 40, bytes: 2),
                          precision: depth & 0x7F + 1, isSigned: depth & 0x80 != 0)
    }

    /// Every tile costs the codec memory before it is decoded; real CT has one to some hundred.
    private static let maximumTiles = 4096

    /// The JPEG 2000 codestream in a JP2 file (ITU-T T.800 I.4), which PS3.5 A.4.4 forbids and some devices write; a bare codestream
    /// as it is.
    static func unwrapped(_ stream: [UInt8]) throws(Refusal) -> [UInt8] {
        guard stream.count >= 12, try stream.big(at: 4, bytes: 4) == 0x6A502020 else { return stream }
        var at = 0
        while at < stream.count {
            var header = 8, length = try stream.big(at: at, bytes: 4)
            if length == 1 { (header, length) = (16, try stream.big(at: at + 8, bytes: 8)) }
            if length == 0 { length = stream.count - at }
            guard length >= header, length <= stream.count - at else { throw Refusal(.unreadable, "its JP2 file is truncated or broken") }
            if try stream.big(at: at + 4, bytes: 4) == 0x6A703263 { return Array(stream[(at + header)..<(at + length)]) }
            at += length
        }
        throw Refusal(.unreadable, "its JP2 file holds no codestream")
    }
}

extension [UInt8] {
    /// Some bytes as a big-endian number; one of 8 bytes with its top bit set is out of any file.
    fileprivate func big(at offset: Int, bytes: Int) throws(Refusal) -> Int {
        guard offset <= count - bytes else { throw Refusal(.unreadable, "its codestream is truncated") }
        return self[offset..<offset + bytes].reduce(0) { $0 << 8 | Int($1) }
    }
}
