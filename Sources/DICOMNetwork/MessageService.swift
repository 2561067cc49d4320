import DICOMCore

/// A service class other than storage that peers may use on the associations they open (PS3.4), asked for by its abstract syntaxes.
///
/// Every call comes on the association's own thread and may block it.
public protocol MessageService: Sendable {
    /// The abstract syntaxes to accept, in Explicit or Implicit VR Little Endian.
    var sopClassUIDs: Set<UID> { get }
    /// Does what a peer asks, and says how that went. What the answer promises must be on stable storage.
    func answer(_ request: OperationRequest, on association: AssociationInfo) -> OperationAnswer
    /// Something to tell the peer of the association now that it has been answered; asked again after each.
    func nextReport(on association: AssociationInfo) -> EventReport?
    /// What the peer answered to a report, or that the association ended before it did.
    func reported(_ report: EventReport, _ result: Result<DIMSEStatus, NetworkError>, on association: AssociationInfo)
}

extension MessageService {
    public func nextReport(on association: AssociationInfo) -> EventReport? { nil }
    public func reported(_ report: EventReport, _ result: Result<DIMSEStatus, NetworkError>, on association: AssociationInfo) {}
}

/// A request of a peer (PS3.7 section 10). Not Sendable: it belongs to the thread of its association.
public struct OperationRequest {
    /// The operations by their command field (PS3.7 E.1).
    public enum Operation: UInt16, Sendable {
        case cGet = 0x0010, cFind = 0x0020, cMove = 0x0021
        case nEventReport = 0x0100, nGet = 0x0110, nSet = 0x0120, nAction = 0x0130, nCreate = 0x0140, nDelete = 0x0150
    }

    public let operation: Operation
    /// Affected or Requested SOP Class UID: the abstract syntax of the presentation context.
    public let sopClassUID: UID
    /// Affected or Requested SOP Instance UID; nil when absent.
    public let sopInstanceUID: UID?
    /// Action or Event Type ID; nil when absent.
    public let typeID: UInt16?
    /// Nil when the message has none.
    public let dataSet: DataSet?

    public init(_ operation: Operation, sopClassUID: UID, sopInstanceUID: UID?, typeID: UInt16? = nil, dataSet: DataSet? = nil) {
        self.operation = operation
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.typeID = typeID
        self.dataSet = dataSet
    }
}

/// How a request went.
public struct OperationAnswer: Sendable, Equatable {
    public var status: DIMSEStatus
    /// An instance UID that the provider made, since the request had none.
    public var sopInstanceUID: UID?
    /// Why, in 64 characters of ASCII at most (Error Comment).
    public var comment: String?
    /// Error ID, where a service defines some.
    public var errorID: UInt16?

    public init(_ status: DIMSEStatus, _ comment: String? = nil, errorID: UInt16? = nil, sopInstanceUID: UID? = nil) {
        self.status = status
        self.comment = comment
        self.errorID = errorID
        self.sopInstanceUID = sopInstanceUID
    }
}

/// A notification by N-EVENT-REPORT (PS3.7 10.1.1). Not Sendable, as its data set.
public struct EventReport {
    /// Whatever tells its sender which one it is.
    public let id: Int64
    public let sopClassUID, sopInstanceUID: UID
    public let eventTypeID: UInt16
    public let dataSet: DataSet

    public init(id: Int64, sopClassUID: UID, sopInstanceUID: UID, eventTypeID: UInt16, dataSet: DataSet) {
        self.id = id
        self.sopClassUID = sopClassUID
        self.sopInstanceUID = sopInstanceUID
        self.eventTypeID = eventTypeID
        self.dataSet = dataSet
    }
}
