import CDCMTK
import DICOMCore

/// An application entity on the network, and how long to wait for it.
public struct Peer: Sendable, Hashable {
    /// A host name, or an address of IPv4 or IPv6 in numbers.
    public var host: String
    public var port: Int
    public var calledAETitle, callingAETitle: AETitle
    /// Seconds to wait for the connection, for the answer to the association request, and for each message.
    public var connectTimeout, associationTimeout, messageTimeout: Int
    /// How the connection is secured; nil is not.
    public var tls: TLSSettings?
    /// The subject that the peer's certificate must have (RFC 4514); nil is any that leads to a trusted one.
    public var certificateSubject: String?

    /// A peer with its address and titles.
    public init(host: String, port: Int, calledAETitle: AETitle, callingAETitle: AETitle, connectTimeout: Int = 10, associationTimeout: Int = 30, messageTimeout: Int = 120) {
        self.host = host
        self.port = port
        self.calledAETitle = calledAETitle
        self.callingAETitle = callingAETitle
        self.connectTimeout = connectTimeout
        self.associationTimeout = associationTimeout
        self.messageTimeout = messageTimeout
    }

    /// `ARCHIVE at 10.0.0.1:104`.
    var name: String { "\(calledAETitle) at \(host.contains(":") ? "[\(host)]" : host):\(port)" }
}

/// What became of one file that was to be sent.
public struct StoreOutcome: Sendable {
    public let path: String
    /// nil when the file could not be read.
    public let sopInstanceUID: UID?
    /// The peer's status, or why there is none: the file was not sent then.
    public let result: Result<DIMSEStatus, NetworkError>
}

/// Services that this application asks of a peer. Calls block: keep them off the cooperative pool.
public enum ServiceClass {
    /// Asks the peer whether it is there (C-ECHO, PS3.4 annex A).
    public static func echo(_ peer: Peer) throws(NetworkError) {
        _ = try echo(peer, asking: [])
    }

    /// Asks the peer whether it is there, as `echo` does, and which of some storage SOP classes it takes.
    public static func echo(_ peer: Peer, asking sopClasses: Set<UID>) throws(NetworkError) -> Set<UID> {
        let proposals = sopClasses.map { Proposal($0, [.explicitVRLittleEndian, .implicitVRLittleEndian]) }
        let association = try RequestedAssociation(to: peer, proposing: [Proposal(SOPClass.verification, [.implicitVRLittleEndian])] + proposals)
        let status = try association.echo()
        guard status == .success else { throw NetworkError(.protocolViolation, "\(peer.name) answered C-ECHO with \(status)") }
        let taken = sopClasses.filter(association.accepts)
        association.release()
        return taken
    }

    /// Sends files (C-STORE, PS3.4 annex B), each in its own transfer syntax, an uncompressed one also in explicit or implicit
    /// VR little endian where the peer wants that. As many associations follow each other as 128 contexts each demand.
    ///
    /// - Parameters:
    ///   - shallSend: asked of each file that can be read, right before it is sent, and told whether the peer accepted its SOP class on the
    ///     association; a file of which it says no is passed over.
    ///   - each: called with the outcome of each file as soon as it is known.
    /// - Throws: when an association cannot be opened or breaks; files without an outcome were not, or not surely, taken.
    public static func store(
        _ paths: [String], to peer: Peer, shallSend: (_ path: String, _ isAccepted: Bool) -> Bool = { _, _ in true }, each: (StoreOutcome) -> Void
    ) throws(NetworkError) {
        var batch: [Outgoing] = [], proposals: [Proposal] = []
        for path in paths {
            let file: Outgoing
            do { file = try Outgoing(path) } catch {
                each(StoreOutcome(path: path, sopInstanceUID: nil, result: .failure(error)))
                continue
            }
            let new = file.proposals.filter { !proposals.contains($0) }
            if proposals.count + new.count > Proposal.maximum {
                try send(batch, proposing: proposals, to: peer, shallSend, each)
                (batch, proposals) = ([], file.proposals)
            } else {
                proposals += new
            }
            batch.append(file)
        }
        if !batch.isEmpty { try send(batch, proposing: proposals, to: peer, shallSend, each) }
    }

    private static func send(
        _ files: [Outgoing], proposing proposals: [Proposal], to peer: Peer, _ shallSend: (String, Bool) -> Bool, _ each: (StoreOutcome) -> Void
    ) throws(NetworkError) {
        let association = try RequestedAssociation(to: peer, proposing: proposals)
        for file in files where shallSend(file.path, association.accepts(file.sopClassUID)) {
            let result: Result<DIMSEStatus, NetworkError>
            do { result = .success(try association.store(file)) } catch {
                guard error.code == .notAccepted || error.code == .cannotRead else { throw error }
                result = .failure(error)
            }
            each(StoreOutcome(path: file.path, sopInstanceUID: file.sopInstanceUID, result: result))
        }
        association.release()
    }
}

/// An abstract syntax and the transfer syntaxes to propose for it in one presentation context.
struct Proposal: Hashable {
    /// Presentation context identifiers are the odd numbers of a byte (PS3.8 9.3.2.2).
    static let maximum = 128

    let abstractSyntax: UID
    let transferSyntaxes: [TransferSyntax]
    /// Whether to ask for the role of SCP (PS3.7 D.3.3.4).
    let asProvider: Bool

    init(_ abstractSyntax: UID, _ transferSyntaxes: [TransferSyntax], asProvider: Bool = false) {
        self.abstractSyntax = abstractSyntax
        self.transferSyntaxes = transferSyntaxes
        self.asProvider = asProvider
    }
}

/// A file to send, with what its headers say.
struct Outgoing {
    let path: String
    let sopClassUID, sopInstanceUID: UID
    let transferSyntax: TransferSyntax

    init(_ path: String) throws(NetworkError) {
        self.path = path
        // SOPClassUID and SOPInstanceUID lie before StudyDate: no more of the file is needed.
        guard let headers = try? DataSet(contentsOf: path, stoppingBefore: .studyDate) else {
            throw NetworkError(.cannotRead, "\(path) is no readable DICOM file")
        }
        guard let sopClass = headers.uid(.sopClassUID), let instance = headers.uid(.sopInstanceUID), let syntax = headers.transferSyntaxUID else {
            throw NetworkError(.cannotRead, "\(path) has no SOPClassUID, SOPInstanceUID or TransferSyntaxUID")
        }
        (sopClassUID, sopInstanceUID, transferSyntax) = (sopClass, instance, TransferSyntax(syntax))
    }

    /// Its own transfer syntax, and apart from that, what an uncompressed file can be turned into.
    var proposals: [Proposal] {
        let own = Proposal(sopClassUID, [transferSyntax])
        let others = [TransferSyntax.explicitVRLittleEndian, .implicitVRLittleEndian].filter { $0 != transferSyntax }
        return transferSyntax.isEncapsulated ? [own] : [own, Proposal(sopClassUID, others)]
    }
}

/// An association that this application opened; aborted unless released.
final class RequestedAssociation {
    let peer: Peer
    let handle: OpaquePointer
    private var released = false
    private var lastMessageID: UInt16 = 0

    init(to peer: Peer, proposing proposals: [Proposal]) throws(NetworkError) {
        cdcmtk_network_start()
        var error = cdcmtk_error(), rejection = cdcmtk_rejection()
        // Loaded anew each time: certificates may have changed.
        let tls = try peer.tls.map { settings throws(NetworkError) in try TLSContext(settings, asServer: false) }
        guard let handle = Self.open(peer, tls, proposals, &rejection, &error) else { throw NetworkError(error, rejection, on: peer.name) }
        (self.peer, self.handle) = (peer, handle)
    }

    deinit {
        if !released { cdcmtk_association_abort(handle) }
        cdcmtk_association_free(handle)
    }

    private static func open(_ peer: Peer, _ tls: TLSContext?, _ proposals: [Proposal], _ rejection: inout cdcmtk_rejection, _ error: inout cdcmtk_error) -> OpaquePointer? {
        let strings = CStrings()
        let raw = proposals.map { proposal in
            cdcmtk_proposal(abstract_syntax: strings[proposal.abstractSyntax.string], transfer_syntaxes: (
                strings[proposal.transferSyntaxes[0].uid.string],
                proposal.transferSyntaxes.count > 1 ? strings[proposal.transferSyntaxes[1].uid.string] : nil),
                as_provider: proposal.asProvider ? 1 : 0)
        }
        var rawPeer = cdcmtk_peer(
            host: strings[peer.host], calling: strings[peer.callingAETitle.string], called: strings[peer.calledAETitle.string],
            tls: tls?.handle, certificate_subject: peer.certificateSubject.map { strings[$0] },
            port: UInt16(clamping: peer.port), connect_timeout: Int32(peer.connectTimeout),
            association_timeout: Int32(peer.associationTimeout), message_timeout: Int32(peer.messageTimeout))
        return withExtendedLifetime((strings, tls)) {
            withIdentity(maximumPDU: 131_072) { cdcmtk_association_request(&rawPeer, $0, raw, raw.count, &rejection, &error) }
        }
    }

    func nextMessageID() -> UInt16 {
        lastMessageID &+= 1
        return lastMessageID
    }

    func echo() throws(NetworkError) -> DIMSEStatus {
        var error = cdcmtk_error(), status: UInt16 = 0
        guard cdcmtk_association_echo(handle, &status, &error) != 0 else { throw NetworkError(error, on: peer.name) }
        return DIMSEStatus(rawValue: status)
    }

    /// Whether the peer accepted a SOP class in any of the transfer syntaxes proposed.
    func accepts(_ sopClass: UID) -> Bool {
        Message.context(of: sopClass, on: handle) != nil
    }

    func store(_ file: Outgoing) throws(NetworkError) -> DIMSEStatus {
        var error = cdcmtk_error(), status: UInt16 = 0
        guard cdcmtk_association_store(handle, file.path, file.sopClassUID.string, file.sopInstanceUID.string,
                                       file.transferSyntax.uid.string, &status, &error) != 0 else {
            throw NetworkError(error, on: "\(peer.name), instance \(file.sopInstanceUID)")
        }
        return DIMSEStatus(rawValue: status)
    }

    /// Every answer is in by now, so that a release that fails changes nothing.
    func release() { released = cdcmtk_association_release(handle, nil) != 0 }
}
