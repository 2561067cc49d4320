import CDCMTK
import DICOMCore
import Foundation

/// An instance that arrived in whole, in a file that is written but not flushed.
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

    init(_ received: cdcmtk_received, path: String) {
        self.path = path
        self.received = received
        size = Int(received.size)
        digest = withUnsafeBytes(of: received.digest) { Array($0) }
    }

    deinit { close(received.descriptor) }

    /// The data set before its pixel data, from memory where they begin early enough.
    ///
    /// Throws `cannotRead` when the file is broken.
    public func header() throws -> DataSet {
        let start = UnsafeRawBufferPointer(start: received.start, count: received.start_count)
        return try DataSet(startOfFile: start, stoppingBefore: .pixelData) ?? DataSet(contentsOf: path, stoppingBefore: .pixelData)
    }

    /// Brings the file's bytes onto stable storage, wherever it was moved to. Throws `cannotWrite` when the disk refuses.
    public func flush() throws {
        guard fsync(received.descriptor) == 0 else {
            throw NetworkError(.cannotWrite, "\(path) cannot be flushed: \(String(cString: strerror(errno))).")
        }
    }
}
