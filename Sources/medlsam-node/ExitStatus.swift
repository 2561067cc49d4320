import DICOMCore
import DICOMImaging
import DICOMNetwork
import Foundation
import MedLSAM
import ModelRuntime
import Node
import NodeConfiguration
import NodeStore

/// What the command tells the shell: the names and numbers of BSD's sysexits.h, listed in docs/reference/errors.md.
enum ExitStatus: Int32, CaseIterable {
    case success = 0
    /// `doctor` found something that keeps the node from its work; `explain` or `evaluate`, something refused or unreadable.
    case findings = 1
    /// The command line is wrong (swift-argument-parser's own).
    case usage = 64
    /// The input is there and cannot be used: not a CT series, a broken file, a template set for other weights.
    case unusableInput = 65
    /// The input, job, model or template set is not there.
    case noInput = 66
    /// A peer did not answer or did not take what was sent; a model or its runtime is missing.
    case unavailable = 69
    case internalError = 70
    /// A file or folder could not be written.
    case cannotCreate = 73
    /// The job's state does not allow it.
    case notAllowed = 77
    case configuration = 78
}

/// A failure that the command itself finds.
struct CommandFailure: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

extension ExitStatus {
    /// The status for an error of one of the rooms; nil for any other.
    init?(of error: any Error) {
        switch error {
        case let failure as CommandFailure: self = failure.status
        case is ConfigurationErrors: self = .configuration
        case let error as StoreError: self = Self(error.code)
        case let error as MedLSAMError: self = Self(error.code)
        case let error as ModelError: self = Self(error.code)
        case let error as NetworkError: self = Self(error.code)
        case let error as NodeError: self = Self(error.code)
        case let error as ConversionError: self = Self(error.code)
        case let error as ImagingError: self = error.code == .cannotWrite ? .cannotCreate : .unusableInput
        case is DICOMError: self = .unusableInput
        default: return nil
        }
    }

    private init(_ code: StoreError.Code) {
        switch code {
        case .notFound: self = .noInput
        case .notAllowed: self = .notAllowed
        case .notOpened, .notDurable, .notRecorded: self = .cannotCreate
        case .damaged, .newer: self = .unusableInput
        }
    }

    private init(_ code: MedLSAMError.Code) {
        switch code {
        case .templateSetUnreadable, .templateSetForOtherWeights, .templateSetLacks, .casesUnusable, .volumeUnusable: self = .unusableInput
        case .modelAnswerUnusable: self = .internalError
        }
    }

    private init(_ code: ModelError.Code) {
        switch code {
        case .runtimeUnavailable, .modelUnavailable, .damaged: self = .unavailable
        case .invalidCheckpoint, .invalidInput: self = .unusableInput
        case .invalidManifest, .inferenceFailed: self = .internalError
        }
    }

    private init(_ code: NetworkError.Code) {
        switch code {
        case .cannotRead: self = .unusableInput
        case .cannotWrite: self = .cannotCreate
        case .unreachable, .timeout, .rejected, .aborted, .protocolViolation, .notAccepted, .cannotListen, .notSecure: self = .unavailable
        }
    }

    private init(_ code: ConversionError.Code) {
        switch code {
        case .noInput: self = .noInput
        case .unusable: self = .unusableInput
        case .untold: self = .usage
        case .cannotCreate: self = .cannotCreate
        }
    }

    private init(_ code: NodeError.Code) {
        switch code {
        case .notInstalled: self = .unavailable
        case .dataFolder: self = .cannotCreate
        case .locked: self = .notAllowed
        case .unreadable, .mismatch, .refused: self = .unusableInput
        case .worker: self = .internalError
        }
    }
}
