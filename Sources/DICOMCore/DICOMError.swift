import CDCMTK

/// What went wrong with a data set, a file or a value; the message holds no value of any element.
public struct DICOMError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure, for code that decides.
    public enum Code: Sendable {
        /// The file is absent, no Part 10 file, or broken.
        case cannotRead
        /// The disk refused, or the data set cannot be encoded that way.
        case cannotWrite
        /// A value, tag or VR that PS3.5 does not allow.
        case invalidValue
        /// The toolkit's data dictionary (dicom.dic) was not found.
        case dictionaryMissing
        /// The toolkit failed in a way that it should not.
        case toolkit
    }

    /// The kind of failure.
    public let code: Code
    /// What failed, on which object, why.
    public let message: String

    /// An error of a kind with its message.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    /// Translates what the face reported, naming the object it concerns.
    init(_ error: cdcmtk_error, on object: String? = nil) {
        let text = withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let code: Code = switch Int(error.code) {
        case CDCMTK_CANNOT_READ: .cannotRead
        case CDCMTK_CANNOT_WRITE: .cannotWrite
        case CDCMTK_INVALID: .invalidValue
        default: .toolkit
        }
        self.init(code, object.map { "\($0): \(text)" } ?? text)
    }
}
