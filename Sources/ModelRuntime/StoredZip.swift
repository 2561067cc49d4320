/// The members of a zip archive that compresses none of them, as PyTorch writes it (PKWARE's APPNOTE 6.3).
///
/// Every offset is checked against the archive, and a member against its CRC-32 when it is read.
struct StoredZip {
    private struct Member {
        let range: Range<Int>
        let crc: UInt32
    }

    private static let endSignature = 0x0605_4b50, endSize = 22
    private static let centralSignature = 0x0201_4b50, centralSize = 46
    private static let localSignature = 0x0403_4b50, localSize = 30
    private static let longestComment = 0xffff
    /// In a 32-bit field: the true value is in a zip64 record.
    private static let zip64Mark = 0xffff_ffff

    private let bytes: [UInt8]
    private var members: [String: Member] = [:]

    var names: [String] { Array(members.keys) }

    init(_ bytes: [UInt8]) throws(CheckpointFault) {
        self.bytes = bytes
        guard let end = Self.findEnd(bytes) else { throw "it is not a zip archive, or its end is missing" }
        var position = Int(littleEndian: bytes, at: end + 16, width: 4)
        guard position != Self.zip64Mark else { throw "it is a zip64 archive, larger than the networks known here" }
        for _ in 0..<Int(littleEndian: bytes, at: end + 10, width: 2) {
            position = try addMember(at: position, before: end)
        }
    }

    /// The member's bytes; throws when it is missing or damaged.
    func read(_ name: String) throws(CheckpointFault) -> ArraySlice<UInt8> {
        guard let member = members[name] else { throw "it holds no \(name)" }
        let content = bytes[member.range]
        guard CRC32.checksum(content) == member.crc else { throw "\(name) is damaged: its checksum is wrong" }
        return content
    }

    private static func findEnd(_ bytes: [UInt8]) -> Int? {
        let first = max(0, bytes.count - endSize - longestComment)
        return stride(from: bytes.count - endSize, through: first, by: -1).first {
            Int(littleEndian: bytes, at: $0, width: 4) == endSignature
        }
    }

    /// Reads the directory's record at `position`; returns where the next one begins.
    private mutating func addMember(at position: Int, before end: Int) throws(CheckpointFault) -> Int {
        func field(_ offset: Int, _ width: Int) -> Int { Int(littleEndian: bytes, at: position + offset, width: width) }
        guard position + Self.centralSize <= end, field(0, 4) == Self.centralSignature else { throw "its directory is damaged" }
        let nameLength = field(28, 2), size = field(24, 4), local = field(42, 4)
        let nameStart = position + Self.centralSize
        let next = nameStart + nameLength + field(30, 2) + field(32, 2)
        guard next <= end, let name = String(validating: bytes[nameStart..<nameStart + nameLength], as: UTF8.self) else {
            throw "its directory is damaged"
        }
        guard field(8, 2) & 1 == 0 else { throw "\(name) is encrypted" }
        guard field(10, 2) == 0 else { throw "\(name) is compressed" }
        guard size == field(20, 4), size != Self.zip64Mark, local + Self.localSize <= position,
              Int(littleEndian: bytes, at: local, width: 4) == Self.localSignature else { throw "\(name) is damaged" }
        // The local record has extra bytes of its own, by which PyTorch aligns the content.
        let start = local + Self.localSize + Int(littleEndian: bytes, at: local + 26, width: 2) + Int(littleEndian: bytes, at: local + 28, width: 2)
        guard start + size <= bytes.count else { throw "\(name) is cut short" }
        guard members.updateValue(Member(range: start..<start + size, crc: UInt32(field(16, 4))), forKey: name) == nil else {
            throw "\(name) is there twice"
        }
        return next
    }
}

extension Int {
    /// Reads `width` bytes, least significant first; the caller has checked that they are there.
    init(littleEndian bytes: some RandomAccessCollection<UInt8>, at offset: Int, width: Int) {
        var value = 0
        let start = bytes.index(bytes.startIndex, offsetBy: offset)
        for byte in bytes[start...].prefix(width).reversed() { value = value << 8 | Int(byte) }
        self = value
    }
}

/// The checksum of zip archives (ISO 3309, polynomial 0xedb88320).
enum CRC32 {
    /// Eight tables, so that eight bytes go in at a time: weights are tens of megabytes.
    private static let tables: [UInt32] = {
        var tables: [UInt32] = []
        for byte in 0..<256 as Range<UInt32> {
            var crc = byte
            for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 0 ? 0 : 0xedb8_8320) }
            tables.append(crc)
        }
        for entry in 256..<8 * 256 {
            let previous = tables[entry - 256]
            tables.append((previous >> 8) ^ tables[Int(previous & 0xff)])
        }
        return tables
    }()

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        tables.withUnsafeBufferPointer { table in
            bytes.withUnsafeBytes { bytes in
                var crc: UInt32 = ~0
                var position = 0
                while position + 8 <= bytes.count {
                    let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self).littleEndian ^ UInt64(crc)
                    crc = 0
                    for byte in 0..<8 {
                        let value = Int(truncatingIfNeeded: word >> UInt64(8 * byte)) & 0xff
                        crc ^= table[256 * (7 - byte) + value]
                    }
                    position += 8
                }
                while position < bytes.count {
                    crc = (crc >> 8) ^ table[Int((crc & 0xff) ^ UInt32(bytes[position]))]
                    position += 1
                }
                return ~crc
            }
        }
    }
}
