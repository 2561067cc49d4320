import DICOMCore

/// Who is at the other end of an association.
public struct AssociationInfo: Sendable {
    /// Counts the associations of this process from 1.
    public let id: UInt64
    public let callingAETitle, calledAETitle: AETitle
    /// The peer's numerical address, without the port.
    public let peerAddress: String
    /// Whether it came by TLS, and the subject of the certificate that the peer showed (RFC 4514).
    public let isSecure: Bool
    public let certificateSubject: String?
}

/// A user name as the peer gives it, with a passcode if it gives one (PS3.7 D.3.3.7).
public struct UserIdentity: Sendable {
    public let name: String
    public let passcode: String?
}

/// What comes of a user identity, or of there being none.
public enum UserRecognition: Sendable {
    /// It is not looked at, and the peer hears nothing of it.
    case ignored
    /// The peer hears so, if it asked.
    case recognized
    /// There is no association.
    case refused
}

/// What a C-STORE request announces (PS3.7 9.1.1).
///
/// The UIDs are those of the command; whether the data set holds the same is for the handler to check once it is there.
public struct StoreRequest: Sendable {
    public let sopClassUID, sopInstanceUID: UID
    /// How the data set is encoded, and stored.
    public let transferSyntaxUID: UID
}

/// Where an announced instance goes.
public enum StoreDestination {
    /// A file.
    case file(any ArrivingInstance)
    /// Nowhere: the data set is read off and the status answered.
    case refuse(DIMSEStatus)
}

/// An instance on its way into a file. Calls come on its association's thread and may block that.
public protocol ArrivingInstance: AnyObject {
    /// The file to fill: it is there, and empty.
    var path: String { get }
    /// The header is there, while pixel data still come: what is made of it now costs no time later. Not called where it has more than 64 KB.
    func began(with header: DataSet)
    /// The instance is complete in a Part 10 file, whose bytes are not on stable storage yet: await that, and flush what folders it is moved
    /// to. The status returned goes out to the peer; the file is the handler's from here on.
    func stored(in file: ReceivedFile) -> DIMSEStatus
    /// The instance did not come to its end, or could not be written; its half file is gone.
    func discarded()
}

extension ArrivingInstance {
    public func began(with header: DataSet) {}
}

/// What a storage SCP asks of its owner. Calls that are about an association's instances come on its own thread and may block it.
public protocol StorageHandler: Sendable {
    /// Whether a user is known; nil is a peer that names none, or none by name. Comes on the accepting thread: it must not wait.
    func recognition(of user: UserIdentity?, on association: AssociationInfo) -> UserRecognition
    /// Whether an association is welcome; nil accepts, and `ended` follows some time. Comes on the accepting thread: it must not wait.
    func accepts(_ association: AssociationInfo) -> AssociationRejection?
    /// Where to write the instance that is about to come.
    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination
    /// The association is over: released by the peer, or aborted or broken.
    func ended(_ association: AssociationInfo, released: Bool)
}

extension StorageHandler {
    public func recognition(of user: UserIdentity?, on association: AssociationInfo) -> UserRecognition { .ignored }
}

/// How a storage SCP listens.
public struct StorageSCPConfiguration: Sendable {
    /// The numerical address to listen on; nil is every address, IPv6 and IPv4.
    public var address: String?
    /// The port; 0 lets the system choose, nil is none.
    public var port: Int?
    /// TLS, and the port that it is spoken on, likewise.
    public var tls: TLSSettings?
    public var securePort: Int?
    /// Associations at one time; more wait, and are then rejected with "local limit exceeded", transient.
    public var maximumAssociations: Int
    /// Seconds that an association request waits for its turn.
    public var queueTimeout: Double = 5
    /// Seconds for an association request, with the TLS handshake before it, to come in whole after the connection (ARTIM, PS3.8 9.1.5).
    public var associationTimeout: Int
    /// Whether storage SOP classes are taken that are not the standard's.
    public var takesPrivateSOPClasses = true
    /// Seconds without a message, or within one, after which an association is aborted.
    public var messageTimeout: Int
    /// Seconds that `stop` gives running associations to come to their end.
    public var stopTimeout: Int
    /// Bytes of a PDU to receive, 4,096 to 131,072.
    public var maximumPDU: Int

    /// A configuration; every default is what a node in a hospital network can live with.
    public init(address: String? = nil, port: Int?, maximumAssociations: Int = 64, associationTimeout: Int = 30, messageTimeout: Int = 120,
                stopTimeout: Int = 10, maximumPDU: Int = 131_072) {
        self.address = address
        self.port = port
        self.maximumAssociations = maximumAssociations
        self.associationTimeout = associationTimeout
        self.messageTimeout = messageTimeout
        self.stopTimeout = stopTimeout
        self.maximumPDU = maximumPDU
    }
}
