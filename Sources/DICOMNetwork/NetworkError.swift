import CDCMTK

/// What went wrong between this application and a peer; no patient data.
public struct NetworkError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure, for code that decides.
    public enum Code: Equatable, Sendable {
        /// No such host, or the connection was refused.
        case unreachable
        /// Nothing came in time.
        case timeout
        /// The peer rejected the association.
        case rejected(AssociationRejection)
        /// The peer aborted, or the connection broke.
        case aborted
        /// The peer broke the protocol.
        case protocolViolation
        /// The peer accepts no presentation context that fits the object.
        case notAccepted
        /// TLS failed, or the peer's certificate is another's.
        case notSecure
        /// A file cannot be read.
        case cannotRead
        /// A received file cannot be brought onto stable storage.
        case cannotWrite
        /// The port cannot be listened on.
        case cannotListen
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

    init(_ error: cdcmtk_error, _ rejection: cdcmtk_rejection = cdcmtk_rejection(), on object: String) {
        let text = text(error.message)
        switch Int(error.code) {
        case CDCMTK_UNREACHABLE: self.init(.unreachable, "\(object): \(text)")
        case CDCMTK_TIMEOUT: self.init(.timeout, "\(object): no answer in time")
        case CDCMTK_REJECTED:
            let rejection = AssociationRejection(result: rejection.result, source: rejection.source, reason: rejection.reason)
            self.init(.rejected(rejection), "\(object) rejected the association: \(rejection)")
        case CDCMTK_ABORTED: self.init(.aborted, "\(object): the association was aborted or the connection broke")
        case CDCMTK_TLS: self.init(.notSecure, "\(object): \(text)")
        case CDCMTK_NO_CONTEXT: self.init(.notAccepted, "\(object): \(text)")
        default: self.init(.protocolViolation, "\(object): \(text)")
        }
    }
}

/// Why an association is refused (PS3.8 9.3.4, table 9-21).
public struct AssociationRejection: Hashable, Sendable, CustomStringConvertible {
    /// 1 permanent, 2 transient.
    public let result: UInt8
    /// 1 service user, 2 service provider (ACSE), 3 service provider (presentation).
    public let source: UInt8
    /// Its meaning depends on the source.
    public let reason: UInt8

    init(result: UInt8, source: UInt8, reason: UInt8) {
        self.result = result
        self.source = source
        self.reason = reason
    }

    public static let callingAETitleNotRecognized = AssociationRejection(result: 1, source: 1, reason: 3)
    public static let calledAETitleNotRecognized = AssociationRejection(result: 1, source: 1, reason: 7)
    public static let applicationContextNotSupported = AssociationRejection(result: 1, source: 1, reason: 2)
    public static let protocolVersionNotSupported = AssociationRejection(result: 1, source: 2, reason: 2)
    /// The user identity is not one of ours (PS3.7 D.3.3.7): permanent, by the ACSE provider, no reason given.
    public static let userNotRecognized = AssociationRejection(result: 1, source: 2, reason: 1)
    public static let temporaryCongestion = AssociationRejection(result: 2, source: 3, reason: 1)
    public static let localLimitExceeded = AssociationRejection(result: 2, source: 3, reason: 2)
    public static let noReasonGiven = AssociationRejection(result: 1, source: 1, reason: 1)

    public var description: String {
        let why: String = switch (source, reason) {
        case (1, 2): "application context name not supported"
        case (1, 3): "calling AE title not recognized"
        case (1, 7): "called AE title not recognized"
        case (2, 1): "no reason given by the service provider"
        case (2, 2): "protocol version not supported"
        case (3, 1): "temporary congestion"
        case (3, 2): "local limit exceeded"
        default: "no reason given"
        }
        return "\(why) (\(result == 1 ? "permanent" : "transient"))"
    }
}

/// A status of a DIMSE response (PS3.7 annex C, PS3.4 B.2.3).
public struct DIMSEStatus: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let success = DIMSEStatus(rawValue: 0x0000)
    /// Processing failure.
    public static let processingFailure = DIMSEStatus(rawValue: 0x0110)
    /// Invalid SOP instance: the UID in the request is no UID.
    public static let invalidSOPInstance = DIMSEStatus(rawValue: 0x0117)
    /// SOP class not supported.
    public static let sopClassNotSupported = DIMSEStatus(rawValue: 0x0122)
    /// Refused: not authorized.
    public static let notAuthorized = DIMSEStatus(rawValue: 0x0124)
    /// Refused: out of resources, for instance the disk is full; the peer may try again later.
    public static let outOfResources = DIMSEStatus(rawValue: 0xA700)
    /// Error: the data set does not match its SOP class, or the request.
    public static let dataSetDoesNotMatch = DIMSEStatus(rawValue: 0xA900)
    /// Error: the data set cannot be understood.
    public static let cannotUnderstand = DIMSEStatus(rawValue: 0xC000)

    /// What the node's own refusals say besides, as Error Comment (0000,0902; PS3.7 C): at most 64 characters, nothing of the patient.
    var comment: String? {
        switch self {
        case .outOfResources: "Not kept: no room, or the data folder is gone. Send again later."
        case .dataSetDoesNotMatch: "The data set is of another class or instance than the command."
        case .cannotUnderstand: "The data set cannot be read as a composite instance."
        case .invalidSOPInstance: "The SOP Instance UID is no UID."
        case .sopClassNotSupported: "The SOP Class UID is no UID."
        case .duplicateSOPInstance: "Another content is kept under this SOP Instance UID."
        default: nil
        }
    }

    /// Whether the peer took the object, with or without a warning (0xBxxx).
    public var isStored: Bool { rawValue == 0 || rawValue >> 12 == 0xB }

    /// `0xA700`.
    public var description: String {
        let digits = String(rawValue, radix: 16, uppercase: true)
        return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
