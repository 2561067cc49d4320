import Foundation

/// Where in its file an image's pixel data lie, so that they are read without parsing the file again.
///
/// Known only where nothing is odd: a file that is not deflated, in little endian, whose Pixel Data are its last element, whole, and
/// encapsulated as PS3.5 A.4 says or not at all. Everything else is left to the toolkit.
public struct PixelDataPlace: Sendable {
    /// The transfer syntax of the file.
    public let transferSyntax: TransferSyntax
    let path: String
    let file: FileIdentity
    /// Bytes of the file: of the value; of each fragment behind the basic offset table where it is encapsulated.
    let ranges: [Range<Int>]

    /// How many bytes all codestreams have; nil where the pixel data are not encapsulated.
    public var compressedLength: Int? { transferSyntax.isEncapsulated ? ranges.reduce(0) { $0 + $1.count } : nil }

    /// Looks behind a header that was read from the file.
    init?(_ header: DataSet, path: String, in file: OpenFile) {
        guard let syntax = header.transferSyntaxUID.map({ TransferSyntax($0) }), let end = header.end,
              ![.deflatedExplicitVRLittleEndian, .explicitVRBigEndian].contains(syntax),
              let length = Self.length(before: end, isImplicit: syntax == .implicitVRLittleEndian, in: file) else { return nil }
        if syntax.isEncapsulated {
            guard length == Self.undefined, let fragments = Self.fragments(from: end, in: file) else { return nil }
            ranges = fragments
        } else {
            guard length != Self.undefined, length > 0, end + Int(length) == file.identity.size else { return nil }
            ranges = [end..<end + Int(length)]
        }
        (transferSyntax, self.path, self.file) = (syntax, path, file.identity)
    }

    private static let undefined = UInt32.max

    /// The length of the value that begins at `end`, if what lies before it says Pixel Data (PS3.5 7.1.2, 7.1.3).
    private static func length(before end: Int, isImplicit: Bool, in file: OpenFile) -> UInt32? {
        let size = isImplicit ? 8 : 12
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { header in
            guard end >= size, file.read(at: end - size, into: header), header.tag == Tag.pixelData else { return nil }
            guard isImplicit || header[4] == UInt8(ascii: "O") && [UInt8(ascii: "B"), UInt8(ascii: "W")].contains(header[5]) else { return nil }
            return header.number(at: size - 4)
        }
    }

    /// Items up to the sequence delimiter that ends the file; nil where anything else is met, or there is no fragment of any length.
    private static func fragments(from start: Int, in file: OpenFile) -> [Range<Int>]? {
        let size = 8, item = Tag(0xFFFE, 0xE000), delimiter = Tag(0xFFFE, 0xE0DD)
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { header in
            var ranges: [Range<Int>] = [], at = start
            while file.read(at: at, into: header) {
                let length = Int(header.number(at: 4))
                at += size
                if header.tag == delimiter {
                    return length == 0 && at == file.identity.size && ranges.dropFirst().contains { !$0.isEmpty } ? Array(ranges.dropFirst()) : nil
                }
                guard header.tag == item, length % 2 == 0, length <= file.identity.size - at else { return nil }
                ranges.append(at..<at + length)
                at += length
            }
            return nil
        }
    }
}

extension DataSet {
    /// Reads the header of a Part 10 file, all before its pixel data, and where these lie; nil where only the whole file tells.
    ///
    /// - Throws: as `init(contentsOf:stoppingBefore:)`.
    public static func header(of path: String) throws -> (dataSet: DataSet, pixels: PixelDataPlace?) {
        try Toolkit.checkDictionary()
        guard let file = OpenFile(path) else { return (try DataSet(contentsOf: path, stoppingBefore: .pixelData), nil) }
        let length = min(usualHeader, file.identity.size)
        let start = length == 0 ? nil : withUnsafeTemporaryAllocation(byteCount: length, alignment: 16) { bytes in
            file.read(at: 0, into: bytes) ? DataSet(startOfFile: UnsafeRawBufferPointer(bytes), stoppingBefore: .pixelData) : nil
        }
        let dataSet = try start ?? DataSet(contentsOf: path, stoppingBefore: .pixelData)
        return (dataSet, PixelDataPlace(dataSet, path: path, in: file))
    }

    /// Headers of single slices have 2 to 30 KB; longer ones are read by the toolkit, in parts.
    private static let usualHeader = 1 << 16
}

/// What tells whether a path still leads to the file that was read before.
struct FileIdentity: Sendable, Hashable {
    let size: Int
    private let device: dev_t, inode: ino_t, seconds: Int, nanoseconds: Int

    init?(_ descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        (size, device, inode) = (Int(status.st_size), status.st_dev, status.st_ino)
        (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}

/// A file that is read by places. Not changed after it was opened, so that threads may share it.
final class OpenFile: Sendable {
    let identity: FileIdentity
    private let descriptor: Int32

    /// Nil where there is no such regular file, or it cannot be opened.
    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        guard let identity = FileIdentity(descriptor) else { close(descriptor); return nil }
        self.identity = identity
    }

    deinit { close(descriptor) }

    /// Fills memory with the bytes from a place on; false where the file ends before, or cannot be read.
    func read(at offset: Int, into memory: UnsafeMutableRawBufferPointer) -> Bool {
        var done = 0
        while done < memory.count {
            let count = pread(descriptor, memory.baseAddress! + done, memory.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate var tag: Tag { Tag(loadUnaligned(fromByteOffset: 0, as: UInt16.self).littleEndian, loadUnaligned(fromByteOffset: 2, as: UInt16.self).littleEndian) }
    fileprivate func number(at offset: Int) -> UInt32 { UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
}
