import CDCMTK
import DICOMCore

/// Lends the face our implementation's names (PS3.7 D.3.3.2).
func withIdentity<R>(maximumPDU: Int, _ body: (UnsafePointer<cdcmtk_identity>) throws -> R) rethrows -> R {
    try Implementation.classUID.string.withCString { classUID in
        try Implementation.versionName.withCString { version in
            var identity = cdcmtk_identity(implementation_class: classUID, implementation_version: version, max_pdu: UInt32(clamping: maximumPDU))
            return try body(&identity)
        }
    }
}

/// The text in a fixed C array.
func text<T>(_ array: T) -> String {
    withUnsafeBytes(of: array) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
