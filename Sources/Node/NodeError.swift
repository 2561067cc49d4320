import Foundation

/// Why the node or one of its parts cannot go on; names objects by UID or path, never a patient.
public struct NodeError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The data folder cannot be used.
        case dataFolder
        /// Another node works on the data folder.
        case locked
        /// A received file is not what its C-STORE request said.
        case mismatch
        /// A received file cannot be read, or names no study or series.
        case unreadable
        /// A model, its runtime or a template set is missing or damaged.
        case notInstalled
        /// The input is not for contouring.
        case refused
        /// A worker or its results are not as agreed.
        case worker
    }
    public let code: Code
    public let message: String
    public var description: String { message }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// What errno says.
func systemReason() -> String { String(cString: strerror(errno)) }

