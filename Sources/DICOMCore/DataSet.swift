import CDCMTK

/// A data set or a sequence item (PS3.5 section 7).
///
/// Not Sendable: one thread at a time. An item keeps the data set it belongs to alive.
public final class DataSet {
    /// Owns the memory of a data set and of all its items.
    final class Storage {
        let file: OpaquePointer
        let end: Int?
        init(_ file: OpaquePointer, end: Int?) { (self.file, self.end) = (file, end) }
        deinit { cdcmtk_file_free(file) }
    }

    let storage: Storage
    let item: OpaquePointer

    private init(storage: Storage, item: OpaquePointer) {
        self.storage = storage
        self.item = item
    }

    convenience init(file: OpaquePointer, end: Int? = nil) {
        self.init(storage: Storage(file, end: end), item: cdcmtk_file_dataset(file))
    }

    /// An empty data set.
    public convenience init() {
        guard let file = cdcmtk_file_create(nil) else { fatalError("no memory for a data set") }
        self.init(file: file)
    }

    /// Reads a Part 10 file.
    ///
    /// - Parameters:
    ///   - path: the file. Large values are read from it when asked for, so it must stay until then.
    ///   - tag: with `.pixelData`, reads headers only: everything before this tag.
    /// - Throws: `cannotRead` when the file is absent, no Part 10 file, truncated or broken; `dictionaryMissing`.
    public convenience init(contentsOf path: String, stoppingBefore tag: Tag? = nil) throws {
        try Toolkit.checkDictionary()
        var error = cdcmtk_error(), end = 0
        guard let file = cdcmtk_file_load(path, tag == nil ? 0 : 1, tag?.group ?? 0, tag?.element ?? 0, &end, &error) else {
            throw DICOMError(error, on: path)
        }
        self.init(file: file, end: end)
    }

    /// Reads the header of a Part 10 file, everything before `tag`, from its first bytes; nil when they do not reach that far.
    public convenience init?(startOfFile bytes: UnsafeRawBufferPointer, stoppingBefore tag: Tag) {
        let start = bytes.bindMemory(to: UInt8.self)
        var end = 0
        guard let file = cdcmtk_file_load_start(start.baseAddress, start.count, tag.group, tag.element, &end) else { return nil }
        self.init(file: file, end: end)
    }

    /// Behind which byte of the file reading stopped: behind tag, VR and length of the first element that was not to be read.
    var end: Int? { storage.end }

    /// The transfer syntax of the file this was read from or last written to; nil when there is none.
    public var transferSyntaxUID: UID? {
        var uid = [CChar](repeating: 0, count: 65)
        guard cdcmtk_file_transfer_syntax(storage.file, &uid) != 0 else { return nil }
        return UID(String(decoding: uid.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    /// Where `write` takes the bytes that follow a data set's elements.
    public struct Output {
        fileprivate let handle: OpaquePointer

        /// Appends bytes; what the disk says of them, `write` throws at its end.
        public func append(_ bytes: UnsafeRawBufferPointer) {
            cdcmtk_output_append(handle, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
        }

        /// Appends bytes; what the disk says of them, `write` throws at its end.
        public func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes(append) }
    }

    /// Writes a Part 10 file (PS3.10) with new meta information, replacing what is there.
    ///
    /// - Throws: `cannotWrite` when the disk refuses, when SOPClassUID or SOPInstanceUID is missing, when compressed pixel
    ///   data would need a codec, or when an element is too long for explicit VR (use `.implicitVRLittleEndian` then).
    ///   Nothing is left at the path in that case.
    ///
    /// `tail` appends further elements, encoded, whose tags are above all of the data set's: those that are too large to be held.
    /// It needs `.explicitVRLittleEndian`.
    public func write(to path: String, transferSyntax: TransferSyntax = .explicitVRLittleEndian, tail: ((Output) -> Void)? = nil) throws {
        try Toolkit.checkDictionary()
        var error = cdcmtk_error(), context = tail ?? { _ in }
        let saved = withUnsafeMutablePointer(to: &context) { context in
            cdcmtk_file_save(storage.file, path, transferSyntax.uid.string, Implementation.classUID.string, Implementation.versionName, tail == nil ? nil : {
                $0!.assumingMemoryBound(to: ((Output) -> Void).self).pointee(Output(handle: $1!))
            }, context, &error)
        }
        guard saved != 0 else { throw DICOMError(error, on: path) }
    }
}

// MARK: - Reading

extension DataSet {
    /// Whether the element is there, be it empty.
    public func contains(_ tag: Tag) -> Bool { cdcmtk_item_contains(item, tag.group, tag.element) != 0 }

    /// The first value of a text element without its padding; nil when absent, empty or binary.
    ///
    /// Text is decoded by the data set's SpecificCharacterSet, as Latin-1 where that fails.
    public func string(_ tag: Tag) -> String? {
        strings(tag).first.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// All values of a text element, each without its padding; empty when absent, empty or binary.
    public func strings(_ tag: Tag) -> [String] {
        var text: UnsafeMutablePointer<CChar>?
        var length = 0
        guard cdcmtk_item_text(storage.file, item, tag.group, tag.element, &text, &length) != 0, let text else { return [] }
        defer { cdcmtk_free(text) }
        guard length > 0 else { return [] }
        return UnsafeRawBufferPointer(start: text, count: length)
            .split(separator: UInt8(ascii: "\\"), omittingEmptySubsequences: false)
            .map { value in
                let isPadding = { (byte: UInt8) in byte == 0x20 || byte == 0 }
                guard let first = value.firstIndex(where: { !isPadding($0) }), let last = value.lastIndex(where: { !isPadding($0) }) else { return "" }
                return String(decoding: value[first...last], as: UTF8.self)
            }
    }

    /// The first value of an IS, US, SS, UL or SL element; nil when absent or no whole number.
    public func integer(_ tag: Tag) -> Int? { integers(tag).first }

    /// All values of an IS, US, SS, UL or SL element; empty when absent or when one is no whole number.
    public func integers(_ tag: Tag) -> [Int] {
        let values = doubles(tag).map { Int(exactly: $0) }
        return values.contains(nil) ? [] : values.compactMap { $0 }
    }

    /// The first value of a DS, FD, FL, IS or binary integer element; nil when absent or no number.
    public func double(_ tag: Tag) -> Double? { doubles(tag).first }

    /// All values of a DS, FD, FL, IS or binary integer element; empty when absent or when one is no finite number.
    public func doubles(_ tag: Tag) -> [Double] {
        let values = numbers { cdcmtk_item_numbers(item, tag.group, tag.element, $0, $1) }
            ?? numbers { cdcmtk_item_decimals(item, tag.group, tag.element, $0, $1) } ?? []
        return values.allSatisfy(\.isFinite) ? values : []
    }

    private func numbers(_ read: (UnsafeMutablePointer<UnsafeMutablePointer<Double>?>, UnsafeMutablePointer<Int>) -> Int32) -> [Double]? {
        var values: UnsafeMutablePointer<Double>?
        var count = 0
        guard read(&values, &count) != 0, let values else { return nil }
        defer { cdcmtk_free(values) }
        return Array(UnsafeBufferPointer(start: values, count: count))
    }

    /// All values of an AT element; empty when absent.
    public func tags(_ tag: Tag) -> [Tag] {
        var values: UnsafeMutablePointer<UInt32>?
        var count = 0
        guard cdcmtk_item_tags(item, tag.group, tag.element, &values, &count) != 0, let values else { return [] }
        defer { cdcmtk_free(values) }
        return UnsafeBufferPointer(start: values, count: count).map { Tag(UInt16($0 >> 16), UInt16($0 & 0xFFFF)) }
    }

    /// The UID in a UI element; nil when absent or invalid.
    public func uid(_ tag: Tag) -> UID? { string(tag).flatMap { UID($0) } }

    /// The value field of an OB, OW or UN element in native byte order; nil when absent, of another VR or compressed.
    public func bytes(_ tag: Tag) -> [UInt8]? {
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        guard cdcmtk_item_bytes(item, tag.group, tag.element, &bytes, &count) != 0 else { return nil }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    /// The items of a sequence; empty when absent.
    public func items(_ tag: Tag) -> [DataSet] {
        var items: UnsafeMutablePointer<OpaquePointer?>?
        var count = 0
        guard cdcmtk_item_items(item, tag.group, tag.element, &items, &count) != 0, let items else { return [] }
        defer { cdcmtk_free(items) }
        return UnsafeBufferPointer(start: items, count: count).compactMap { $0 }.map { DataSet(storage: storage, item: $0) }
    }
}

// MARK: - Writing

extension DataSet {
    private func change(_ body: (inout cdcmtk_error) -> Int32) throws {
        var error = cdcmtk_error()
        guard body(&error) != 0 else { throw DICOMError(error) }
    }

    /// Sets a text element, or with "" an empty element of any VR (type 2); a backslash separates values.
    ///
    /// - Throws: `invalidValue` when the VR takes no such text, or when it is not ASCII and SpecificCharacterSet not ISO_IR 192.
    public func set(_ tag: Tag, _ value: String) throws {
        var value = value
        try value.withUTF8 { utf8 in
            try utf8.withMemoryRebound(to: CChar.self) { text in
                try change { cdcmtk_item_set_text(storage.file, item, tag.group, tag.element, text.baseAddress, text.count, &$0) }
            }
        }
    }

    /// Sets a text element of several values, none of which may hold a backslash.
    public func set(_ tag: Tag, _ values: [String]) throws {
        guard !values.contains(where: { $0.utf8.contains(UInt8(ascii: "\\")) }) else {
            throw DICOMError(.invalidValue, "\(tag): a value holds a backslash")
        }
        try set(tag, values.joined(separator: "\\"))
    }

    /// Sets a UI element.
    public func set(_ tag: Tag, _ value: UID) throws { try set(tag, value.string) }

    /// Sets an IS, DS or binary integer element; `invalidValue` when the VR cannot hold the number.
    public func set(_ tag: Tag, _ value: Int) throws { try set(tag, [Double(value)]) }

    /// Sets all values of an IS, DS or binary integer element.
    public func set(_ tag: Tag, _ values: [Int]) throws { try set(tag, values.map(Double.init)) }

    /// Sets a DS, FD, FL or integer element.
    public func set(_ tag: Tag, _ value: Double) throws { try set(tag, [value]) }

    /// Sets all values of a DS, FD, FL or integer element; a DS value takes 16 characters at most, the shortest that reads
    /// back equal where that fits, else rounded (PS3.5 6.2).
    public func set(_ tag: Tag, _ values: [Double]) throws {
        try change { cdcmtk_item_set_numbers(storage.file, item, tag.group, tag.element, values, values.count, &$0) }
    }

    /// Sets an AT element.
    public func set(_ tag: Tag, _ values: [Tag]) throws {
        let numbers = values.map(\.number)
        try change { cdcmtk_item_set_tags(storage.file, item, tag.group, tag.element, numbers, numbers.count, &$0) }
    }

    /// Sets the value field of an OB, OW or UN element, in native byte order.
    public func set(_ tag: Tag, bytes: [UInt8]) throws {
        try change { cdcmtk_item_set_bytes(storage.file, item, tag.group, tag.element, bytes, bytes.count, &$0) }
    }

    /// Appends an item to a sequence, which is made where absent.
    public func addItem(_ tag: Tag) throws -> DataSet {
        var error = cdcmtk_error()
        guard let added = cdcmtk_item_add_item(item, tag.group, tag.element, &error) else { throw DICOMError(error) }
        return DataSet(storage: storage, item: added)
    }

    /// Copies a whole element as it is, whatever its VR and character set; does nothing when the other lacks it.
    public func copy(_ tag: Tag, from other: DataSet) throws {
        try change { cdcmtk_item_copy(storage.file, item, other.item, tag.group, tag.element, &$0) }
    }

    /// Removes an element; items taken from it before stay usable, but belong to nothing.
    public func remove(_ tag: Tag) { cdcmtk_item_remove(storage.file, item, tag.group, tag.element) }
}
