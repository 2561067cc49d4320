import CDCMTK

/// The pixel data of an image, a frame at a time: only that frame is read from the file and held in memory.
///
/// Where their place in the file is known, frames are read from there; else the toolkit reads them by the data set.
/// Which fragments make a frame (PS3.5 A.4) is told, in this order, by their number where it is the frames', by the extended offset
/// table (PS3.3 C.7.6.3.1.8), by the basic offset table, and by where codestreams begin; a table that does not point at fragments is
/// passed over, since many are wrong. Not Sendable, like its data set.
public struct PixelData {
    /// The number of frames.
    public let frames: Int
    private let layout: Layout

    private enum Layout {
        /// Bytes of each frame.
        case native(DataSet, Int)
        /// The fragments of each frame, and the length of every fragment; fragment 0 is the basic offset table.
        case encapsulated(DataSet, [Range<Int>], lengths: [Int])
        /// The bytes of the file that hold the frames: one after another in one range, or a fragment each, or all fragments the only one.
        case placed(OpenFile, [Range<Int>], isEncapsulated: Bool)
    }

    /// Finds the frames of an image.
    ///
    /// - Parameter frameLength: bytes of a frame that is not compressed.
    /// - Throws: `invalidValue` when there are no pixel data, too few or too many for the frames, or no telling which belong to
    ///   which; the message continues a sentence about the object.
    public init(_ dataSet: DataSet, frames: Int, frameLength: Int) throws(DICOMError) {
        self.frames = frames
        if let lengths = dataSet.fragmentLengths {
            guard lengths.dropFirst().contains(where: { $0 > 0 }) else { throw DICOMError(.invalidValue, "it has no pixel data") }
            guard let ranges = Self.fragments(of: dataSet, lengths, frames) else {
                throw DICOMError(.invalidValue, "its \(lengths.count - 1) fragments of pixel data cannot be assigned to \(frames) frames")
            }
            layout = .encapsulated(dataSet, ranges, lengths: lengths)
        } else {
            var length = 0
            guard cdcmtk_item_length(dataSet.item, Tag.pixelData.group, Tag.pixelData.element, &length) != 0, length > 0 else {
                throw DICOMError(.invalidValue, "it has no pixel data")
            }
            // One byte of padding makes an odd length even (PS3.5 7.1).
            let (needed, overflow) = frameLength.multipliedReportingOverflow(by: frames)
            guard !overflow, length >= needed else { throw DICOMError(.invalidValue, "its pixel data are shorter than its rows, columns and frames need") }
            guard length <= needed + 1 else { throw DICOMError(.invalidValue, "its pixel data are longer than its rows, columns and frames need") }
            layout = .native(dataSet, frameLength)
        }
    }

    /// Opens an image at its place; nil where the place does not tell its frames apart, so that the data set is needed.
    ///
    /// - Throws: `cannotRead` when the file has changed or gone since the place was found.
    public init?(_ place: PixelDataPlace, frames: Int, frameLength: Int) throws(DICOMError) {
        let (needed, overflow) = frameLength.multipliedReportingOverflow(by: frames), isEncapsulated = place.transferSyntax.isEncapsulated
        // The same rules as for a data set; what they refuse is refused there, in words.
        guard !overflow, frames > 0, isEncapsulated ? frames == 1 || place.ranges.count == frames : (needed...needed + 1).contains(place.ranges[0].count) else { return nil }
        guard let file = OpenFile(place.path), file.identity == place.file else { throw Self.gone }
        self.frames = frames
        layout = .placed(file, isEncapsulated ? place.ranges : (0..<frames).map { n in
            let start = place.ranges[0].lowerBound + n * frameLength
            return start..<start + frameLength
        }, isEncapsulated: isEncapsulated)
    }

    /// The bytes of all codestreams of an image; nil where its pixel data are not encapsulated, or empty.
    public static func compressedLength(of dataSet: DataSet) -> Int? {
        dataSet.fragmentLengths.map { $0.dropFirst().reduce(0, +) }.flatMap { $0 > 0 ? $0 : nil }
    }

    /// Whether frames are codestreams.
    public var isEncapsulated: Bool {
        switch layout {
        case .native: false
        case .encapsulated: true
        case .placed(_, _, let isEncapsulated): isEncapsulated
        }
    }

    /// A frame's codestream, or its samples with words in little endian; the first is number 0.
    ///
    /// - Throws: `cannotRead` when the file has changed or gone since it was opened.
    public func bytes(ofFrame n: Int) throws(DICOMError) -> [UInt8] {
        let length = length(ofFrame: n)
        var isRead = false
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            isRead = read(n, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<length]))
            count = isRead ? length : 0
        }
        guard isRead else { throw Self.gone }
        return bytes
    }

    /// The samples of a frame that is no codestream, into memory that holds just them.
    ///
    /// - Throws: as `bytes(ofFrame:)`.
    public func copySamples(ofFrame n: Int, into memory: UnsafeMutableRawBufferPointer) throws(DICOMError) {
        guard !isEncapsulated, memory.count == length(ofFrame: n), read(n, into: memory) else { throw Self.gone }
    }

    private static let gone = DICOMError(.cannotRead, "its pixel data can no longer be read")

    private func length(ofFrame n: Int) -> Int {
        switch layout {
        case .native(_, let length): length
        case .encapsulated(_, let ranges, let lengths): lengths[ranges[n]].reduce(0, +)
        case .placed(_, let ranges, _): self.ranges(ranges, n).reduce(0) { $0 + $1.count }
        }
    }

    /// Those that make a frame.
    private func ranges(_ all: [Range<Int>], _ n: Int) -> ArraySlice<Range<Int>> { frames == 1 ? all[...] : all[n...n] }

    private func read(_ n: Int, into memory: UnsafeMutableRawBufferPointer) -> Bool {
        let tag = Tag.pixelData, bytes = memory.bindMemory(to: UInt8.self)
        guard let base = bytes.baseAddress else { return false }
        switch layout {
        case .native(let dataSet, let length):
            return cdcmtk_item_part(dataSet.item, tag.group, tag.element, n * length, base, length) != 0
        case .placed(let file, let ranges, _):
            var count = 0
            for range in self.ranges(ranges, n) {
                guard file.read(at: range.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + range.count])) else { return false }
                count += range.count
            }
            return true
        case .encapsulated(let dataSet, let ranges, let lengths):
            var count = 0
            for fragment in ranges[n] where lengths[fragment] > 0 {
                guard cdcmtk_item_fragment(dataSet.item, tag.group, tag.element, fragment, base + count, lengths[fragment]) != 0 else { return false }
                count += lengths[fragment]
            }
            return true
        }
    }
}

extension PixelData {
    private static func fragments(of dataSet: DataSet, _ lengths: [Int], _ frames: Int) -> [Range<Int>]? {
        if frames == 1 { return [1..<lengths.count] }
        if lengths.count - 1 == frames { return (1..<lengths.count).map { $0..<$0 + 1 } }
        guard lengths.count - 1 > frames, frames > 0 else { return nil }
        // Offsets count from the first fragment's item tag; each fragment has a tag and a length of its own, 8 bytes.
        var starts: [Int: Int] = [:], offset = 0
        for fragment in 1..<lengths.count {
            starts[offset] = fragment
            offset += 8 + lengths[fragment]
        }
        let tables = [dataSet.value(.extendedOffsetTable).map { $0.littleEndian(UInt64.self) },
                      dataSet.fragment(0, prefix: lengths[0]).map { $0.littleEndian(UInt32.self) }]
        for table in tables {
            if let firsts = table?.map({ starts[$0] }), firsts.count == frames, let ranges = ranges(from: firsts.compactMap { $0 }, frames, lengths.count) {
                return ranges
            }
        }
        let beginnings = (1..<lengths.count).filter { dataSet.fragment($0, prefix: min(lengths[$0], 12)).map(beginsCodestream) == true }
        return ranges(from: beginnings, frames, lengths.count)
    }

    /// Frames that begin with these fragments, the first of which is 1; nil when there are not as many.
    private static func ranges(from firsts: [Int], _ frames: Int, _ end: Int) -> [Range<Int>]? {
        guard firsts.count == frames, firsts.first == 1, zip(firsts, firsts.dropFirst()).allSatisfy(<) else { return nil }
        return zip(firsts, firsts.dropFirst() + [end]).map { $0..<$1 }
    }

    /// JPEG and JPEG-LS: start of image; JPEG 2000: start of codestream and its size, or the signature of a JP2 file.
    private static func beginsCodestream(_ bytes: [UInt8]) -> Bool {
        bytes.starts(with: [0xFF, 0xD8, 0xFF]) || bytes.starts(with: [0xFF, 0x4F, 0xFF, 0x51]) || bytes.starts(with: [0, 0, 0, 12, 0x6A, 0x50, 0x20, 0x20])
    }
}

extension DataSet {
    /// The length of each fragment of the pixel data, the basic offset table's first; nil when they are not encapsulated.
    fileprivate var fragmentLengths: [Int]? {
        var lengths: UnsafeMutablePointer<UInt32>?
        var count = 0
        guard cdcmtk_item_fragments(item, Tag.pixelData.group, Tag.pixelData.element, &lengths, &count) != 0, let lengths else { return nil }
        defer { cdcmtk_free(lengths) }
        return UnsafeBufferPointer(start: lengths, count: count).map(Int.init)
    }

    /// The value of a binary element, of OV too.
    fileprivate func value(_ tag: Tag) -> [UInt8]? {
        var length = 0, isRead = false
        guard cdcmtk_item_length(item, tag.group, tag.element, &length) != 0 else { return nil }
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            isRead = length > 0 && cdcmtk_item_part(item, tag.group, tag.element, 0, buffer.baseAddress, length) != 0
            count = isRead ? length : 0
        }
        return isRead ? bytes : nil
    }

    fileprivate func fragment(_ index: Int, prefix length: Int) -> [UInt8]? {
        var isRead = false
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            isRead = length > 0 && cdcmtk_item_fragment(item, Tag.pixelData.group, Tag.pixelData.element, index, buffer.baseAddress, length) != 0
            count = isRead ? length : 0
        }
        return isRead ? bytes : nil
    }
}

extension [UInt8] {
    /// Numbers stored one after another; those too large for any file become -1.
    fileprivate func littleEndian<Number: FixedWidthInteger>(_ type: Number.Type) -> [Int] {
        withUnsafeBytes { raw in
            (0..<count / MemoryLayout<Number>.size).map {
                Int(exactly: Number(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Number>.size, as: Number.self))) ?? -1
            }
        }
    }
}
