import DICOMCore
import Foundation
import Glibc

/// Why an object must not be sent: a rule and where it is broken, without any value of a patient's.
struct Breach: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// A Part 10 file as its bytes stand, read strictly (PS3.5 7.1, PS3.10 7.1): nothing is mended, guessed or passed over.
///
/// A toolkit that reads tolerantly shows what was meant; here the question is what was written. Explicit and Implicit VR Little Endian
/// and encapsulated pixel data. The file is mapped: values that nobody asks for are never touched.
final class EncodedObject {
    struct Node {
        let tag: UInt32
        /// Two letters, the first in the high byte; 0 for an item or a fragment.
        let vr: UInt16
        /// Where the value is in the file.
        let start, length: Int
        /// The index of the node behind it and all that it holds.
        var end: Int
    }

    /// A value that its VR does not allow.
    struct BadValue {
        let node: Int
        let reason: String
    }

    private let file: MappedFile
    let nodes: [Node]
    let badValues: [BadValue]
    private let metaEnd: Int

    private static let encapsulated = "1.2.840.10008.1.2.4.", rle = "1.2.840.10008.1.2.5"

    private init(_ file: MappedFile, _ reader: Reader, metaEnd: Int) {
        (self.file, nodes, badValues, self.metaEnd) = (file, reader.nodes, reader.badValues, metaEnd)
    }

    /// The elements of the file meta information.
    var meta: EncodedItem { EncodedItem(object: self, nodes: 0..<metaEnd) }
    var dataSet: EncodedItem { EncodedItem(object: self, nodes: metaEnd..<nodes.count) }

    /// Maps and reads a file; throws the first thing in it that the standard does not allow.
    static func read(_ path: String) throws(Breach) -> EncodedObject {
        guard let file = MappedFile(path), file.bytes.count >= 144, file.bytes[128..<132].elementsEqual("DICM".utf8) else { throw Breach("the file is no Part 10 file") }
        var reader = Reader(memory: file.bytes)
        let start = try reader.readMeta(), metaEnd = reader.nodes.count
        let syntax = reader.text(ofTag: Tag.transferSyntaxUID.number) ?? ""
        guard [TransferSyntax.explicitVRLittleEndian.uid.string, TransferSyntax.implicitVRLittleEndian.uid.string, rle].contains(syntax)
                || syntax.hasPrefix(encapsulated) else { throw Breach("transfer syntax \(syntax) is none that objects are written in") }
        reader.isImplicit = syntax == TransferSyntax.implicitVRLittleEndian.uid.string
        _ = try reader.readElements(from: start, to: file.bytes.count, depth: 0)
        return EncodedObject(file, reader, metaEnd: metaEnd)
    }

    func bytes(of node: Node) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[node.start..<node.start + node.length]) }
}

/// A file's bytes, from the disk only where somebody looks at them.
private final class MappedFile {
    let bytes: UnsafeRawBufferPointer

    init?(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size > 0,
              let base = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else { return nil }
        bytes = UnsafeRawBufferPointer(start: base, count: Int(status.st_size))
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }
}

/// An item, or a whole data set, of an encoded object.
struct EncodedItem {
    unowned let object: EncodedObject
    /// What it holds, at all depths.
    let nodes: Range<Int>

    /// The index of an element's node; nil when absent.
    func find(_ tag: Tag) -> Int? {
        let wanted = tag.number
        var at = nodes.lowerBound
        while at < nodes.upperBound {
            let node = object.nodes[at]
            if node.tag == wanted { return at }
            if node.tag > wanted { return nil }
            at = node.end
        }
        return nil
    }

    /// The tags of its own elements.
    var tags: [Tag] {
        var tags: [Tag] = [], at = nodes.lowerBound
        while at < nodes.upperBound {
            tags.append(Tag(UInt16(object.nodes[at].tag >> 16), UInt16(object.nodes[at].tag & 0xFFFF)))
            at = object.nodes[at].end
        }
        return tags
    }

    func items(_ tag: Tag) -> [EncodedItem] {
        guard let found = find(tag) else { return [] }
        var items: [EncodedItem] = [], at = found + 1
        while at < object.nodes[found].end {
            items.append(EncodedItem(object: object, nodes: at + 1..<object.nodes[at].end))
            at = object.nodes[at].end
        }
        return items
    }

    func bytes(_ tag: Tag) -> UnsafeRawBufferPointer? { find(tag).map { object.bytes(of: object.nodes[$0]) } }

    /// The value without padding, all values of several together; nil when absent or empty.
    func text(_ tag: Tag) -> String? {
        guard let bytes = bytes(tag) else { return nil }
        let bare = bytes.trimmed
        return bare.isEmpty ? nil : String(decoding: bare, as: UTF8.self)
    }

    func texts(_ tag: Tag) -> [String] { text(tag)?.split(separator: "\\", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) } ?? [] }

    /// The numbers of a DS or IS; nil when one is none.
    func decimals(_ tag: Tag) -> [Double]? { bytes(tag).flatMap { Decimals.parse($0) } }

    /// The words of a US.
    func words(_ tag: Tag) -> [Int] {
        guard let bytes = bytes(tag) else { return [] }
        return (0..<bytes.count / 2).map { Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))) }
    }

    /// The long words of a UL.
    func longs(_ tag: Tag) -> [Int] {
        guard let bytes = bytes(tag) else { return [] }
        return (0..<bytes.count / 4).map { Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))) }
    }

    /// Calls for this item and all below it, but for those in the sequences named; the tag is that of the sequence an item is in.
    func walk(except left: Set<UInt32> = [], in sequence: UInt32 = 0, _ body: (EncodedItem, _ sequence: UInt32) throws(Breach) -> Void) throws(Breach) {
        try body(self, sequence)
        var at = nodes.lowerBound
        while at < nodes.upperBound {
            let node = object.nodes[at]
            if node.vr == VR.sq, !left.contains(node.tag) {
                var item = at + 1
                while item < node.end {
                    try EncodedItem(object: object, nodes: item + 1..<object.nodes[item].end).walk(except: left, in: node.tag, body)
                    item = object.nodes[item].end
                }
            }
            at = node.end
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Without the padding of text: spaces before and after, a NUL after.
    var trimmed: Slice<UnsafeRawBufferPointer> {
        var low = startIndex, high = endIndex
        while high > low, self[high - 1] == 0x20 || self[high - 1] == 0 { high -= 1 }
        while low < high, self[low] == 0x20 { low += 1 }
        return self[low..<high]
    }
}

// MARK: - Reading

private struct Reader {
    let memory: UnsafeRawBufferPointer
    /// Of the data set; file meta information never is.
    var isImplicit = false
    var nodes: [EncodedObject.Node] = []
    var badValues: [EncodedObject.BadValue] = []
    private var known: [UInt32: UInt16] = [:]
    /// Deeper nesting than any object's of ours.
    private static let deepest = 24
    private static let undefined = 0xFFFF_FFFF
    private static let item: UInt32 = 0xFFFE_E000, itemEnd: UInt32 = 0xFFFE_E00D, sequenceEnd: UInt32 = 0xFFFE_E0DD

    init(memory: UnsafeRawBufferPointer) { self.memory = memory }

    private func name(_ tag: UInt32) -> String { Tag(UInt16(tag >> 16), UInt16(tag & 0xFFFF)).description }

    private func tag(at place: Int) throws(Breach) -> UInt32 {
        guard place + 8 <= memory.count else { throw Breach("the file ends within an element") }
        let group = UInt16(littleEndian: memory.loadUnaligned(fromByteOffset: place, as: UInt16.self))
        return UInt32(group) << 16 | UInt32(UInt16(littleEndian: memory.loadUnaligned(fromByteOffset: place + 2, as: UInt16.self)))
    }

    private func long(at place: Int) -> Int { Int(UInt32(littleEndian: memory.loadUnaligned(fromByteOffset: place, as: UInt32.self))) }

    /// Reads group 2, which is explicit whatever follows; returns where the data set begins.
    mutating func readMeta() throws(Breach) -> Int {
        guard try tag(at: 132) == 0x0002_0000, long(at: 136) & 0xFFFF == 0x4C55 else { throw Breach("the file meta information has no group length") }
        let end = 144 + long(at: 140)
        guard end <= memory.count else { throw Breach("the file ends within the file meta information") }
        _ = try readElements(from: 132, to: end, depth: 0)
        return end
    }

    func text(ofTag tag: UInt32) -> String? {
        nodes.first { $0.tag == tag }.map { String(decoding: UnsafeRawBufferPointer(rebasing: memory[$0.start..<$0.start + $0.length]).trimmed, as: UTF8.self) }
    }

    /// Reads elements up to an end, or with nil to the delimiter of an item; returns where the next thing begins.
    mutating func readElements(from start: Int, to end: Int?, depth: Int) throws(Breach) -> Int {
        guard depth <= Self.deepest else { throw Breach("sequences are nested too deep") }
        var place = start, last: UInt32 = 0
        while place < end ?? Int.max {
            let tag = try tag(at: place)
            if end == nil, tag == Self.itemEnd { return place + 8 }
            guard tag > last, tag >> 16 != 0xFFFE else { throw Breach("\(name(tag)) is out of order") }
            last = tag
            place = try readElement(tag, at: place, end: end ?? memory.count, depth: depth)
        }
        return place
    }

    private mutating func readElement(_ tag: UInt32, at place: Int, end: Int, depth: Int) throws(Breach) -> Int {
        var vr: UInt16, length: Int, start = place + 8
        if isImplicit {
            vr = dictionary(tag)
            length = long(at: place + 4)
            if tag == 0x7FE0_0010 { vr = VR.ow }
        } else {
            vr = UInt16(memory[place + 4]) << 8 | UInt16(memory[place + 5])
            if VR.isLong(vr) {
                guard place + 12 <= end else { throw Breach("the file ends within an element") }
                length = long(at: place + 8)
                start = place + 12
            } else {
                length = Int(UInt16(littleEndian: memory.loadUnaligned(fromByteOffset: place + 6, as: UInt16.self)))
            }
            let expected = dictionary(tag)
            guard VR.isKnown(vr), vr != VR.un else { throw Breach("\(name(tag)) is written with VR \(VR.name(vr))") }
            guard expected == 0 || expected == vr || tag >> 16 & 1 == 1 else { throw Breach("\(name(tag)) is written with VR \(VR.name(vr)), not \(VR.name(expected))") }
        }
        let index = nodes.count
        if length == Self.undefined || vr == VR.sq {
            guard vr == VR.sq || tag == 0x7FE0_0010 else { throw Breach("\(name(tag)) has no length") }
            nodes.append(.init(tag: tag, vr: vr, start: start, length: length == Self.undefined ? 0 : length, end: 0))
            let next = try readItems(of: tag, isSequence: vr == VR.sq, from: start, to: length == Self.undefined ? nil : start + length, limit: end, depth: depth)
            nodes[index].end = nodes.count
            return next
        }
        guard length % 2 == 0 else { throw Breach("\(name(tag)) has an odd length") }
        guard length <= end - start else { throw Breach("\(name(tag)) goes beyond what holds it") }
        nodes.append(.init(tag: tag, vr: vr, start: start, length: length, end: index + 1))
        if badValues.count < 16, let reason = VR.fault(vr, UnsafeRawBufferPointer(rebasing: memory[start..<start + length])) {
            badValues.append(.init(node: index, reason: "\(name(tag)) \(reason)"))
        }
        return start + length
    }

    private mutating func readItems(of tag: UInt32, isSequence: Bool, from start: Int, to end: Int?, limit: Int, depth: Int) throws(Breach) -> Int {
        guard end ?? limit <= limit else { throw Breach("\(name(tag)) goes beyond what holds it") }
        var place = start
        while place < end ?? Int.max {
            let delimiter = try self.tag(at: place), length = long(at: place + 4)
            if end == nil, delimiter == Self.sequenceEnd { return place + 8 }
            guard delimiter == Self.item else { throw Breach("\(name(tag)) holds something else than items") }
            let index = nodes.count
            nodes.append(.init(tag: delimiter, vr: 0, start: place + 8, length: length == Self.undefined ? 0 : length, end: 0))
            if isSequence {
                guard length == Self.undefined || length <= (end ?? limit) - place - 8 else { throw Breach("an item of \(name(tag)) goes beyond it") }
                place = try readElements(from: place + 8, to: length == Self.undefined ? nil : place + 8 + length, depth: depth + 1)
            } else {
                guard length % 2 == 0, length <= limit - place - 8 else { throw Breach("a fragment of pixel data has a wrong length") }
                place += 8 + length
            }
            nodes[index].end = nodes.count
        }
        return place
    }

    /// The VR of a tag in the toolkit's dictionary; 0 where it knows none, or several.
    private mutating func dictionary(_ tag: UInt32) -> UInt16 {
        if let vr = known[tag] { return vr }
        let letters = Tag(UInt16(tag >> 16), UInt16(tag & 0xFFFF)).valueRepresentation.map { Array($0.utf8) }
        let vr = letters.map { UInt16($0[0]) << 8 | UInt16($0[1]) } ?? 0
        known[tag] = vr
        return vr
    }
}
