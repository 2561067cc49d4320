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

/// C strings that live as long as this.
final class CStrings {
    private var owned: [String: UnsafeMutablePointer<CChar>] = [:]

    subscript(_ string: String) -> UnsafePointer<CChar> {
        if let known = owned[string] { return UnsafePointer(known) }
        let bytes = string.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        bytes.withUnsafeBufferPointer { copy.update(from: $0.baseAddress!, count: bytes.count) }
        owned[string] = copy
        return UnsafePointer(copy)
    }

    deinit { owned.values.forEach { $0.deallocate() } }
}

/// The text in an array of characters that the face filled.
func string(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
