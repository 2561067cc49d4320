import CDCMTK
import DICOMCore
import Foundation

/// An instance that arrived in whole; its file's last bytes and flush are under way.
///
/// Not Sendable, and valid only during the call that it is handed to.
public final class ReceivedFile {
    /// Where the file was made; it may be moved.
    public let path: String
    /// Bytes of the file.
    public let size: Int
    /// SHA-256 of the data set, without the file meta information before it.
    public let digest: [UInt8]
    private let received: cdcmtk_received
    private let association: OpaquePointer

    init(_ received: cdcmtk_received, path: String, on association: OpaquePointer) {
        self.path = path
        self.received = received
        self.association = association
        size = Int(received.size)
        digest = withUnsafeBytes(of: received.digest) { Array($0) }
    }

    /// The data set before its pixel data, from memory where they begin early enough.
    ///
    /// Throws `cannotRead` when the file is broken, `cannotWrite` when the disk refuses it.
    public func header() throws -> DataSet {
        let start = UnsafeRawBufferPointer(start: received.start, count: received.start_count)
        if let header = DataSet(startOfFile: start, stoppingBefore: .pixelData) { return header }
        try awaitFlush()
        return try DataSet(contentsOf: path, stoppingBefore: .pixelData)
    }

    /// Has the entries of a folder flushed, too, after the file's bytes.
    public func flush(folder: String) { cdcmtk_association_flush_folder(association, folder) }

    /// Waits until the file's bytes, wherever it was moved to, and the folders are on stable storage. Throws `cannotWrite` when the disk
    /// refuses.
    public func awaitFlush() throws {
        let failure = cdcmtk_association_await_flush(association)
        guard failure == 0 else { throw NetworkError(.cannotWrite, "\(path) cannot be flushed: \(String(cString: strerror(failure))).") }
    }
}
