import Foundation

extension Configuration {
    /// How associations are secured (PS3.15 B): for those that call, and those the node calls with `tls: true`.
    public struct TLS: Sendable, Equatable {
        /// The port to listen on for TLS; nil is none, 0 lets the system choose.
        public var port: Int?
        /// Whether only TLS is listened for.
        public var only: Bool
        /// PEM files: the node's certificate with its chain, and its private key.
        public var certificate, key: String?
        /// Holds the password of an encrypted key in its first line.
        public var keyPasswordFile: String?
        /// A PEM file, or a folder of them, with the certificates that peers' certificates must lead to.
        public var trusted: String
        /// A PEM file of revocation lists; when given, every peer's certificate needs its issuer's.
        public var revocation: String?
        public var profile: Profile
        public var peerCertificate: PeerCertificate

        /// The security profiles by the names that DCMTK gives them (PS3.15 B.9, B.10, B.11).
        public enum Profile: String, Sendable, CaseIterable {
            case bcp195 = "bcp195"
            case bcp195NonDowngrading = "bcp195-nd"
            case bcp195Extended = "bcp195-ex"
        }

        /// Whether those that call must show a certificate.
        public enum PeerCertificate: String, Sendable, CaseIterable { case require, optional, none }
    }

    static func readTLS(_ top: Section, folder: URL) -> TLS? {
        top.optionalSection("tls") { section in
            let tls = TLS(
                port: section.optionalPort("port", allowingZero: true), only: section.flag("only", default: false),
                certificate: section.optionalFile("certificate", in: folder), key: section.optionalFile("key", in: folder),
                keyPasswordFile: section.optionalFile("keyPasswordFile", in: folder), trusted: section.folder("trusted", in: folder).path,
                revocation: section.optionalFile("revocation", in: folder),
                profile: section.word("profile", default: .bcp195NonDowngrading),
                peerCertificate: section.word("peerCertificate", default: .require))
            if (tls.certificate == nil) != (tls.key == nil) { section.fail("key", "certificate and key are needed together") }
            if tls.port != nil, tls.certificate == nil { section.fail("certificate", "is needed to listen on a port") }
            if tls.only, tls.port == nil { section.fail("only", "needs a port") }
            return tls
        }
    }
}
