import Foundation
import NodeTesting
import Testing
@testable import medlsam_node

/// A node with TLS and access rules, as DCMTK's tools and its own command meet it.
@Suite struct SecureNodeTests {
    private let folder: URL
    private let certificates: Certificates

    init() throws {
        folder = try Places.temporaryFolder("secure")
        certificates = try Certificates(in: folder)
        for name in ["node", "renewed", "ct1", "ct2", "archive"] { try certificates.issue(name) }
    }

    private func tool(_ name: String) -> [String] { ["+tls", certificates.path(name + ".key"), certificates.path(name + ".pem"), "+cf", certificates.authority] }

    private func echo(_ port: Int, by title: String, _ options: [String] = []) throws -> ToolResult {
        try runTool("echoscu", options + ["-aec", "MEDLSAM", "-aet", title, "127.0.0.1", "\(port)"])
    }

    private func install(_ name: String) throws {
        for suffix in [".pem", ".key"] {
            let content = try Data(contentsOf: URL(fileURLWithPath: certificates.path(name + suffix)))
            try content.write(to: URL(fileURLWithPath: certificates.path("installed" + suffix)))
        }
    }

    @Test func aNodeWithTLSKnowsItsPeersAndTakesNewCertificatesWhileItRuns() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try install("node")
        let secure = try freePort(), archive = try freePort()
        let node = try NodeUnderTest(in: folder, models: false, more: """
            tls:
              port: \(secure)
              certificate: \(certificates.path("installed.pem"))
              key: \(certificates.path("installed.key"))
              trusted: \(certificates.authority)
            access: {calledAETitles: own, peersOnly: true}
            peers:
              - {name: ct1, aeTitle: CT1, tls: true, certificateSubject: CN=ct1}
              - {name: probe, aeTitle: ECHOSCU, networks: [127.0.0.0/8]}
              - {name: archive, aeTitle: STORESCP, host: localhost, port: \(archive), tls: true, certificateSubject: CN=archive}
            """)
        let text = try String(contentsOfFile: node.settings, encoding: .utf8)
        try text.replacing("destinations: []", with: "destinations: [{peer: archive}]").write(toFile: node.settings, atomically: true, encoding: .utf8)
        let process = try await node.serve()
        defer { process.kill() }

        #expect(try echo(secure, by: "CT1", tool("ct1")).status == 0)
        for (port, title, options) in [(secure, "CT1", tool("ct2")), (node.port, "CT1", []), (node.port, "CT9", []), (secure, "CT9", tool("ct1"))] {
            #expect(try echo(port, by: title, options).output.contains("Calling AE Title Not Recognized"), "\(title) at \(port)")
        }
        #expect(try runTool("echoscu", ["-aec", "OTHER", "127.0.0.1", "\(node.port)"]).output.contains("Called AE Title Not Recognized"))
        let own = ["echo", "::1", "\(secure)"]
        #expect(try runTool(program("medlsam-node"), own + ["--tls", "--config", node.settings]).status == ExitStatus.unavailable.rawValue) // listens on IPv4 only
        let command = ["echo", "127.0.0.1", "\(secure)", "--call", "MEDLSAM", "--aetitle", "CT1", "--tls", "--tls-trusted", certificates.authority,
                       "--tls-certificate", certificates.path("ct1.pem"), "--tls-key", certificates.path("ct1.key"), "--tls-subject"]
        #expect(try runTool(program("medlsam-node"), command + ["CN=node"]).status == 0)
        #expect(try runTool(program("medlsam-node"), command + ["CN=other"]).output.contains("its certificate is that of CN=node"))

        // The archive takes TLS only; the doctor calls it as deliveries do.
        let scp = try BackgroundProcess("storescp", tool("archive") + ["-od", folder.path, "\(archive)"], log: folder.appending(path: "storescp.log"))
        defer { scp.kill() }
        _ = try await eventually("the doctor's C-ECHO by TLS") {
            try node.command("doctor").output.contains("OK       destination archive") ? true : nil
        }
        #expect(try node.command("doctor").output.contains("OK       TLS: certificates and key are readable and fit."))

        try install("renewed")
        kill(process.processID, SIGHUP)
        _ = try await eventually("new certificates") { process.output.contains("Certificates have changed and were loaded again") ? true : nil }
        #expect(try runTool(program("medlsam-node"), command + ["CN=renewed"]).status == 0)
        #expect(process.terminate() == 0)
    }
}
