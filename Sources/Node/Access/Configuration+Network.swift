import DICOMCore
import DICOMNetwork
import NodeConfiguration

extension Configuration {
    /// How the node listens.
    var storageSCP: StorageSCPConfiguration {
        var scp = StorageSCPConfiguration(
            address: host, port: tls?.only == true ? nil : port, maximumAssociations: receiving.maximumAssociations,
            associationTimeout: access.requestTimeoutSeconds, messageTimeout: receiving.timeoutSeconds)
        scp.tls = tls?.settings
        scp.securePort = tls?.port
        scp.queueTimeout = access.queueSeconds
        scp.takesPrivateSOPClasses = access.privateSOPClasses
        return scp
    }

    /// A destination as a peer to call.
    public func peer(_ destination: Destination) -> DICOMNetwork.Peer {
        peer(destination.host, destination.port, destination.aeTitle, destination.callingAETitle, destination.tls, destination.certificateSubject)
    }

    /// One of the peers to call; nil for one that only calls.
    public func peer(_ peer: Peer) -> DICOMNetwork.Peer? {
        guard let host = peer.host, let port = peer.port else { return nil }
        return self.peer(host, port, peer.aeTitle, peer.callingAETitle, peer.tls, peer.certificateSubject)
    }

    private func peer(
        _ host: String, _ port: Int, _ called: AETitle, _ calling: AETitle?, _ isSecure: Bool, _ subject: String?
    ) -> DICOMNetwork.Peer {
        var peer = DICOMNetwork.Peer(
            host: host, port: port, calledAETitle: called, callingAETitle: calling ?? aeTitle, connectTimeout: delivery.timeoutSeconds,
            associationTimeout: delivery.timeoutSeconds, messageTimeout: delivery.timeoutSeconds)
        peer.tls = isSecure ? tls?.settings : nil
        peer.certificateSubject = subject
        return peer
    }
}

extension Configuration.TLS {
    /// The same for the network.
    public var settings: TLSSettings {
        TLSSettings(
            certificate: certificate, key: key, keyPasswordFile: keyPasswordFile, trusted: trusted, revocation: revocation,
            profile: .init(rawValue: profile.rawValue)!, peerCertificate: .init(rawValue: peerCertificate.rawValue)!)
    }
}
