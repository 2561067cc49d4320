import Foundation

/// Certificates made for a test by openssl: an authority, and what it signs.
public struct Certificates: Sendable {
    public let folder: URL
    /// The authority's certificate.
    public var authority: String { folder.appending(path: "ca.pem").path }

    /// Makes an authority in a folder.
    public init(in folder: URL, name: String = "test authority") throws {
        self.folder = folder.appending(path: "certificates-\(name.filter { $0 != " " })")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        try openssl(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "10", "-subj", "/CN=\(name)",
                     "-keyout", path("ca.key"), "-out", authority])
    }

    public func path(_ name: String) -> String { folder.appending(path: name).path }

    /// Makes a key and a certificate with a subject such as `/O=Hospital/CN=ct1`.
    @discardableResult
    public func issue(_ name: String, subject: String? = nil, days: Int = 10, password: String? = nil) throws -> (certificate: String, key: String) {
        let (request, key, certificate) = (path(name + ".csr"), path(name + ".key"), path(name + ".pem"))
        try openssl(["req", "-newkey", "rsa:2048", "-sha256", "-subj", subject ?? "/CN=\(name)", "-keyout", key, "-out", request]
            + (password.map { ["-passout", "pass:" + $0] } ?? ["-nodes"]))
        try openssl(["x509", "-req", "-in", request, "-CA", authority, "-CAkey", path("ca.key"), "-CAcreateserial", "-sha256",
                     "-days", "\(days)", "-out", certificate])
        return (certificate, key)
    }

    /// Makes a revocation list of the authority that names some certificates.
    public func revoke(_ names: [String]) throws -> String {
        let settings = """
            [ca]
            default_ca = own
            [own]
            database = \(path("index.txt"))
            default_md = sha256
            default_crl_days = 5

            """
        try settings.write(toFile: path("ca.cnf"), atomically: true, encoding: .utf8)
        try "".write(toFile: path("index.txt"), atomically: true, encoding: .utf8)
        let authority = ["-config", path("ca.cnf"), "-cert", authority, "-keyfile", path("ca.key")]
        for name in names { try openssl(["ca"] + authority + ["-revoke", path(name + ".pem")]) }
        try openssl(["ca"] + authority + ["-gencrl", "-out", path("crl.pem")])
        return path("crl.pem")
    }

    private func openssl(_ arguments: [String]) throws {
        let result = try runTool("openssl", arguments)
        guard result.status == 0 else { throw Expired("openssl \(arguments.first ?? "") failed: \(result.output)") }
    }
}
