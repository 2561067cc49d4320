import CDCMTK

extension DataSet {
    /// Reads a data set without file meta information, as a message carries it.
    ///
    /// - Throws: `cannotRead` when it is broken, nested too deep, or in a compressed or unknown transfer syntax; `dictionaryMissing`.
    public convenience init(decoding bytes: [UInt8], as transferSyntax: TransferSyntax) throws {
        try Toolkit.checkDictionary()
        var error = cdcmtk_error()
        guard let file = cdcmtk_file_decode(bytes, bytes.count, transferSyntax.uid.string, &error) else {
            throw DICOMError(error, on: "data set of \(bytes.count) bytes")
        }
        self.init(file: file)
    }

    /// The data set without file meta information, in an uncompressed transfer syntax; `cannotWrite` in any other.
    public func encoded(as transferSyntax: TransferSyntax) throws -> [UInt8] {
        try Toolkit.checkDictionary()
        var error = cdcmtk_error(), count = 0
        var bytes: UnsafeMutablePointer<UInt8>?
        guard cdcmtk_file_encode(storage.file, transferSyntax.uid.string, &bytes, &count, &error) != 0 else { throw DICOMError(error) }
        defer { cdcmtk_free(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }
}
