import CDCMTK
import DICOMCore

extension ServiceClass {
    /// Tells a peer of an event (N-EVENT-REPORT) over an association of its own, on which this application, that opens it, is
    /// the SCP (PS3.4 J.3.3.1.1): the role is asked for, and a peer that answers no role selection is told all the same.
    ///
    /// - Returns: the peer's status.
    public static func report(_ report: EventReport, to peer: Peer) throws(NetworkError) -> DIMSEStatus {
        let syntaxes: [TransferSyntax] = [.explicitVRLittleEndian, .implicitVRLittleEndian]
        let association = try RequestedAssociation(to: peer, proposing: [Proposal(report.sopClassUID, syntaxes, asProvider: true)])
        let context = try association.context(of: report.sopClassUID)
        let request = try encoding(peer) {
            try Message.eventReport(report, messageID: 1, presentationContextID: context.id, as: context.transferSyntax)
        }
        try request.send(on: association.handle, peer: peer.name)
        let status = try association.response(to: request).status
        association.release()
        return status
    }

    /// Asks a peer by C-FIND, Study Root (PS3.4 C.4.1), for what matches an identifier.
    ///
    /// - Returns: the identifiers of the matches.
    public static func find(_ identifier: DataSet, at peer: Peer) throws(NetworkError) -> [DataSet] {
        let association = try RequestedAssociation(
            to: peer, proposing: [Proposal(SOPClass.studyRootFind, [.explicitVRLittleEndian, .implicitVRLittleEndian])])
        let matches = try association.find(identifier)
        association.release()
        return matches
    }

    /// How many instances a peer holds of a series, by its Number of Series Related Instances, or, where it does not tell that,
    /// by its list of images.
    ///
    /// - Returns: nil when the peer does not know the series.
    public static func countInstances(ofSeries series: UID, study: UID, at peer: Peer) throws(NetworkError) -> SeriesCount? {
        let association = try RequestedAssociation(
            to: peer, proposing: [Proposal(SOPClass.studyRootFind, [.explicitVRLittleEndian, .implicitVRLittleEndian])])
        // A peer that ignores the key answers for every series of the study.
        let found = try association.find(identifier(peer, "SERIES", study, series, asking: .numberOfSeriesRelatedInstances))
            .filter { $0.uid(.seriesInstanceUID) == series }
        guard !found.isEmpty else {
            association.release()
            return nil
        }
        let counts = found.compactMap { $0.integer(.numberOfSeriesRelatedInstances) }
        if let count = counts.max() {
            association.release()
            return SeriesCount(instances: count, level: .series)
        }
        let images = try association.find(identifier(peer, "IMAGE", study, series, asking: .sopInstanceUID))
        association.release()
        return SeriesCount(instances: Set(images.compactMap { $0.uid(.sopInstanceUID) }).count, level: .image)
    }

    private static func identifier(_ peer: Peer, _ level: String, _ study: UID, _ series: UID, asking key: Tag) throws(NetworkError) -> DataSet {
        try encoding(peer) {
            let identifier = DataSet()
            try identifier.set(.queryRetrieveLevel, level)
            try identifier.set(.studyInstanceUID, study)
            try identifier.set(.seriesInstanceUID, series)
            try identifier.set(key, "")
            return identifier
        }
    }
}

/// A peer's word on the size of a series.
public struct SeriesCount: Sendable, Equatable {
    /// The query level that told it.
    public enum Level: String, Sendable, Codable { case series = "SERIES", image = "IMAGE" }

    public let instances: Int
    public let level: Level

    public init(instances: Int, level: Level) {
        self.instances = instances
        self.level = level
    }
}

extension RequestedAssociation {
    /// Responses taken to one query: more than any series has images.
    private static let mostMatches = 100_000

    fileprivate func context(of abstractSyntax: UID) throws(NetworkError) -> (id: UInt8, transferSyntax: TransferSyntax) {
        guard let context = Message.context(of: abstractSyntax, on: handle) else {
            throw NetworkError(.notAccepted, "\(peer.name): the peer does not accept \(abstractSyntax)")
        }
        return context
    }

    /// The next response, which must be to that request.
    fileprivate func response(to request: Message) throws(NetworkError) -> (status: DIMSEStatus, dataSet: [UInt8]?, syntax: TransferSyntax) {
        let received = try Message.receive(on: handle, peer: peer.name)
        guard received.message.isResponse, let status = received.message.command[.status],
              received.message.command[.messageIDBeingRespondedTo] == request.command[.messageID] else {
            throw NetworkError(.protocolViolation, "\(peer.name) answered something that was not asked")
        }
        return (DIMSEStatus(rawValue: status), received.message.dataSet, received.transferSyntax)
    }

    fileprivate func find(_ identifier: DataSet) throws(NetworkError) -> [DataSet] {
        let context = try context(of: SOPClass.studyRootFind)
        var command = CommandSet()
        command[.commandField] = CommandSet.Field.cFind
        command[.messageID] = nextMessageID()
        command[.priority] = CommandSet.Field.mediumPriority
        command.set(.affectedSOPClassUID, SOPClass.studyRootFind.string)
        let request = Message(
            command: command, dataSet: try encoding(peer) { try identifier.encoded(as: context.transferSyntax) }, presentationContextID: context.id)
        try request.send(on: handle, peer: peer.name)
        var matches: [DataSet] = []
        while true {
            let (status, dataSet, syntax) = try response(to: request)
            guard status.isPending else {
                guard status == .success else { throw NetworkError(.protocolViolation, "\(peer.name) answered C-FIND with \(status)") }
                return matches
            }
            guard matches.count < Self.mostMatches else { throw NetworkError(.protocolViolation, "\(peer.name) answers C-FIND without an end") }
            if let dataSet { matches.append(try encoding(peer) { try DataSet(decoding: dataSet, as: syntax) }) }
        }
    }
}

/// What cannot be encoded or decoded is a failure of the exchange with that peer.
private func encoding<T>(_ peer: Peer, _ body: () throws -> T) throws(NetworkError) -> T {
    do { return try body() } catch { throw NetworkError(.protocolViolation, "\(peer.name): \(error)") }
}

extension DIMSEStatus {
    /// Matches go on, with or without all keys supported (PS3.4 table C.4-1).
    fileprivate var isPending: Bool { rawValue == 0xFF00 || rawValue == 0xFF01 }
}
