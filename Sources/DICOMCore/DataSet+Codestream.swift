import CDCMTK

extension DataSet {
    /// The codestream of encapsulated single-frame pixel data: its fragments joined, without the offset table (PS3.5 A.4);
    /// nil when absent, not encapsulated or empty.
    public func codestream(_ tag: Tag = .pixelData) -> [UInt8]? {
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
        guard cdcmtk_item_codestream(item, tag.group, tag.element, &bytes, &count) != 0, let bytes else { return nil }
        defer { cdcmtk_free(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }
}
