import DICOMCore

extension Configuration {
    /// An application entity that the node knows: who calls, whom it calls, or both.
    public struct Peer: Sendable, Equatable {
        public var name: String
        public var aeTitle: AETitle
        /// Where it is called: a host name or address, and the port; nil for one that only calls.
        public var host: String?
        public var port: Int?
        /// The title the node calls with; its own when absent.
        public var callingAETitle: AETitle?
        /// Whether it is called by TLS, and must call by TLS.
        public var tls: Bool
        /// The subject that its certificate must have (RFC 4514, as `openssl x509 -subject -nameopt RFC2253` prints it).
        public var certificateSubject: String?
        /// From where it may call; nil is from anywhere.
        public var networks: [AddressRange]?
        /// Associations that it may have open at once.
        public var maximumAssociations: Int?
        /// Whether it is asked by C-FIND how many instances a series of its has.
        public var completionQuery: Bool
        /// Whether it hears of its storage commitments on the association it asked on, and is called only when that fails.
        public var commitmentOnSameAssociation: Bool
    }

    static func readPeers(_ top: Section, tls: TLS?) -> [Peer] {
        let peers = top.list("peers") {
            Peer(
                name: $0.string("name"), aeTitle: $0.aeTitle("aeTitle"), host: $0.optionalString("host"), port: $0.optionalPort("port"),
                callingAETitle: $0.optionalAETitle("callingAETitle"), tls: $0.flag("tls", default: false),
                certificateSubject: $0.optionalString("certificateSubject"), networks: $0.optionalNetworks("networks"),
                maximumAssociations: $0.optionalInteger("maximumAssociations", 1...4096),
                completionQuery: $0.flag("completionQuery", default: false),
                commitmentOnSameAssociation: $0.flag("commitmentOnSameAssociation", default: false))
        }
        for (index, peer) in peers.enumerated() {
            if peers[..<index].contains(where: { $0.name == peer.name }) { top.fail("peers[\(index)].name", "\(peer.name) is the name of an earlier peer") }
            if (peer.host == nil) != (peer.port == nil) { top.fail("peers[\(index)]", "needs host and port, or neither of them") }
            if peer.completionQuery, peer.host == nil { top.fail("peers[\(index)].completionQuery", "needs host and port") }
            if peer.tls, tls == nil { top.fail("peers[\(index)].tls", "needs the section tls") }
            if peer.certificateSubject != nil, !peer.tls { top.fail("peers[\(index)].certificateSubject", "needs tls: true") }
        }
        return peers
    }

    /// A destination that names one of the peers, or says itself where it is.
    static func readDestination(_ section: Section, peers: [Peer], tls: TLS?) -> Destination {
        let own = ["aeTitle", "host", "port", "callingAETitle", "tls", "certificateSubject"]
        let results = Results(section)
        guard let name = section.optionalString("peer") else {
            let destination = Destination(
                name: section.string("name"), aeTitle: section.aeTitle("aeTitle"), host: section.string("host"), port: section.port("port"),
                callingAETitle: section.optionalAETitle("callingAETitle"), tls: section.flag("tls", default: false),
                certificateSubject: section.optionalString("certificateSubject"), results: results)
            if destination.tls, tls == nil { section.fail("tls", "needs the section tls") }
            if destination.certificateSubject != nil, !destination.tls { section.fail("certificateSubject", "needs tls: true") }
            return destination
        }
        for key in own where section.has(key) { section.fail(key, "is said by the peer") }
        let peer = peers.first { $0.name == name }
        if peer == nil { section.fail("peer", "\(name) is none of the peers") }
        if let peer, peer.host == nil { section.fail("peer", "\(name) has no host and port") }
        return Destination(
            name: section.string("name", default: name), aeTitle: peer?.aeTitle ?? Section.standInTitle, host: peer?.host ?? "", port: peer?.port ?? 1,
            callingAETitle: peer?.callingAETitle, tls: peer?.tls ?? false, certificateSubject: peer?.certificateSubject, results: results)
    }
}
