import CDCMTK
import DICOMCore
import Foundation
import Logging
import Synchronization

/// How connections are secured: files, profile and what is asked of the other side (PS3.15 B).
public struct TLSSettings: Sendable, Hashable {
    /// Security profiles by the names that DCMTK gives them: BCP 195, its non-downgrading and its extended form (PS3.15 B.9-B.11).
    public enum Profile: String, Sendable { case bcp195 = "bcp195", bcp195NonDowngrading = "bcp195-nd", bcp195Extended = "bcp195-ex" }
    /// Whether a client must show a certificate.
    public enum PeerCertificate: String, Sendable { case require, optional, none }

    /// PEM files of the own certificate, with its chain, and its key; a client may have none.
    public var certificate, key: String?
    /// Holds the key's password in its first line.
    public var keyPasswordFile: String?
    /// A PEM file, or a folder of them, of certificates that the peer's must lead to.
    public var trusted: String
    /// A PEM file of revocation lists.
    public var revocation: String?
    public var profile: Profile
    public var peerCertificate: PeerCertificate

    public init(certificate: String? = nil, key: String? = nil, keyPasswordFile: String? = nil, trusted: String, revocation: String? = nil,
                profile: Profile = .bcp195NonDowngrading, peerCertificate: PeerCertificate = .require) {
        (self.certificate, self.key, self.keyPasswordFile) = (certificate, key, keyPasswordFile)
        (self.trusted, self.revocation, self.profile, self.peerCertificate) = (trusted, revocation, profile, peerCertificate)
    }

    /// Loads every file, to see whether that goes.
    ///
    /// - Throws: `NetworkError` that names the file which cannot be used.
    public func check() throws(NetworkError) { _ = try TLSContext(self, asServer: certificate != nil) }

    /// The files of trusted certificates: `trusted` itself, or what lies in it, sorted.
    public var trustedFiles: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: trusted))?.sorted().map { trusted + "/" + $0 } ?? [trusted]
    }

    /// The files that matter, those of a folder each and the folder, so that a change can be seen.
    fileprivate var files: [String] { [certificate, key, keyPasswordFile, trusted, revocation].compactMap { $0 } + trustedFiles }
}

/// The certificate of a PEM file that ends first.
public struct CertificateInfo: Sendable {
    /// As RFC 4514 writes it, `CN=node,O=Hospital`.
    public let subject: String
    public let validFrom, validTo: Date

    /// Reads a file.
    ///
    /// - Throws: `NetworkError` when it holds no certificate.
    public init(file: String) throws(NetworkError) {
        var error = cdcmtk_error(), from: Int64 = 0, to: Int64 = 0
        var name = [CChar](repeating: 0, count: TLSContext.longestSubject)
        guard cdcmtk_certificates_read(file, &name, name.count, &from, &to, &error) > 0 else { throw NetworkError(.notSecure, text(error.message)) }
        subject = string(name)
        validFrom = Date(timeIntervalSince1970: Double(from))
        validTo = Date(timeIntervalSince1970: Double(to))
    }
}

/// Settings with their files loaded.
///
/// `@unchecked`: OpenSSL locks what connections share of a context, and nothing changes it.
final class TLSContext: @unchecked Sendable {
    static let longestSubject = 1024
    let handle: OpaquePointer

    init(_ settings: TLSSettings, asServer: Bool) throws(NetworkError) {
        var error = cdcmtk_error()
        let strings = CStrings()
        func optional(_ text: String?) -> UnsafePointer<CChar>? { text.map { strings[$0] } }
        let profile: Int, verification: Int
        switch settings.profile {
        case .bcp195: profile = CDCMTK_PROFILE_BCP195
        case .bcp195NonDowngrading: profile = CDCMTK_PROFILE_BCP195_ND
        case .bcp195Extended: profile = CDCMTK_PROFILE_BCP195_EX
        }
        switch settings.peerCertificate {
        // A server always shows one, and a client always looks at it.
        case _ where !asServer: verification = CDCMTK_CERTIFICATE_REQUIRED
        case .require: verification = CDCMTK_CERTIFICATE_REQUIRED
        case .optional: verification = CDCMTK_CERTIFICATE_OPTIONAL
        case .none: verification = CDCMTK_CERTIFICATE_IGNORED
        }
        var raw = cdcmtk_tls_settings(
            certificate: optional(settings.certificate), key: optional(settings.key), password: optional(try Self.firstLine(settings.keyPasswordFile)),
            trusted: strings[settings.trusted], revocation: optional(settings.revocation), profile: Int32(profile),
            verification: Int32(verification), is_server: asServer ? 1 : 0)
        let made = withExtendedLifetime(strings) { cdcmtk_tls_create(&raw, &error) }
        guard let made else { throw NetworkError(.notSecure, text(error.message)) }
        handle = made
    }

    deinit { cdcmtk_tls_free(handle) }

    private static func firstLine(_ path: String?) throws(NetworkError) -> String? {
        guard let path else { return nil }
        guard let content = try? String(contentsOfFile: path, encoding: .utf8) else { throw NetworkError(.notSecure, "\(path) cannot be read") }
        return content.split(separator: "\n", omittingEmptySubsequences: false).first.map { String($0.hasSuffix("\r") ? $0.dropLast() : $0) }
    }
}

/// The server's TLS, loaded again once its files have changed; a connection keeps what it began with.
final class ReloadingTLS: Sendable {
    private struct State {
        var context: TLSContext
        /// The files as they were at the last try.
        var stamps: [Stamp]
    }

    /// What tells that a file is another one.
    private struct Stamp: Equatable {
        let path: String
        let inode: UInt64
        let size, seconds, nanoseconds: Int
    }

    private let settings: TLSSettings
    private let logger: Logger
    private let state: Mutex<State>

    init(_ settings: TLSSettings, logger: Logger) throws(NetworkError) {
        (self.settings, self.logger) = (settings, logger)
        let stamps = Self.stamps(settings)
        state = Mutex(State(context: try TLSContext(settings, asServer: true), stamps: stamps))
    }

    /// The context to use for a new connection.
    func current() -> TLSContext {
        state.withLock { state in
            let stamps = Self.stamps(settings)
            guard stamps != state.stamps else { return state.context }
            state.stamps = stamps
            do {
                state.context = try TLSContext(settings, asServer: true)
                logger.notice("Certificates have changed and were loaded again")
            } catch {
                // Certificate and key are seldom replaced in one instant: the next change is looked at again.
                logger.error("Certificates have changed and cannot be used; those before stay in use: \(error)")
            }
            return state.context
        }
    }

    private static func stamps(_ settings: TLSSettings) -> [Stamp] {
        settings.files.map { path in
            var about = stat()
            guard stat(path, &about) == 0 else { return Stamp(path: path, inode: 0, size: -1, seconds: 0, nanoseconds: 0) }
            return Stamp(path: path, inode: UInt64(about.st_ino), size: Int(about.st_size), seconds: about.st_mtim.tv_sec, nanoseconds: about.st_mtim.tv_nsec)
        }
    }
}
