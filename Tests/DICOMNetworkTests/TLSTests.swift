import DICOMCore
import DICOMNetwork
import Foundation
import NodeTesting
import Testing

/// An authority with a node and a client of its own; made once, since keys take their time.
private struct Shop {
    let certificates: Certificates, strangers: Certificates

    static let shared = Result { try Shop() }
    private static let folder = Result { try Places.temporaryFolder("tls") }

    init() throws {
        let folder = try Self.folder.get()
        atexit { if let folder = try? Shop.folder.get() { try? FileManager.default.removeItem(at: folder) } }
        certificates = try Certificates(in: folder)
        strangers = try Certificates(in: folder, name: "strange authority")
        try certificates.issue("node", subject: "/O=Hospital/CN=node")
        try certificates.issue("client", subject: "/O=Hospital/CN=client")
        try certificates.issue("other", subject: "/O=Hospital/CN=other")
        try strangers.issue("client")
    }

    var server: TLSSettings {
        TLSSettings(certificate: certificates.path("node.pem"), key: certificates.path("node.key"), trusted: certificates.authority)
    }
    var client: TLSSettings {
        TLSSettings(certificate: certificates.path("client.pem"), key: certificates.path("client.key"), trusted: certificates.authority)
    }
    /// What makes one of DCMTK's tools a client.
    func tool(_ name: String = "client") -> [String] { ["+tls", certificates.path(name + ".key"), certificates.path(name + ".pem"), "+cf", certificates.authority] }
}

@Suite struct TLSTests {
    private let shop: Shop

    init() throws { shop = try Shop.shared.get() }

    private func withTLS<R>(_ recorder: Recorder, _ settings: TLSSettings? = nil, _ change: (inout StorageSCPConfiguration) -> Void = { _ in },
                            _ body: (Int, Int) throws -> R) throws -> R {
        try withSecureSCP(recorder, { configuration in
            (configuration.tls, configuration.securePort) = (settings ?? shop.server, 0)
            change(&configuration)
        }, body)
    }

    private func peer(_ port: Int, host: String = "127.0.0.1", _ tls: TLSSettings?, subject: String? = nil) -> Peer {
        var peer = Peer(host: host, port: port, calledAETitle: title("NODE"), callingAETitle: title("ME"), connectTimeout: 3, associationTimeout: 3, messageTimeout: 10)
        (peer.tls, peer.certificateSubject) = (tls, subject)
        return peer
    }

    /// Whether echoscu gets its answer.
    private func answers(_ port: Int, _ options: [String]) throws -> Bool { try runTool("echoscu", options + ["127.0.0.1", "\(port)"]).status == 0 }

    // MARK: As acceptor

    @Test func storescuStoresByTLSAndInTheClearBesideIt() throws {
        let recorder = try Recorder()
        let path = try instance("2.25.700", pixels: 3_000_000, in: recorder.folder)
        try withTLS(recorder) { port, secure in
            for (port, options) in [(secure, shop.tool()), (port, [])] {
                let result = try runTool("storescu", options + ["127.0.0.1", "\(port)", path, path])
                #expect(result.status == 0, "\(result.output)")
            }
        }
        let associations = recorder.state.withLock { $0.associations }
        #expect(associations.map(\.isSecure) == [true, false] && associations.map(\.certificateSubject) == ["CN=client,O=Hospital", nil])
        let original = try dataSetBytes(path)
        #expect(recorder.stored.count == 4)
        for one in recorder.stored { #expect(try DataSet(contentsOf: one.path).bytes(.pixelData) == DataSet(contentsOf: path).bytes(.pixelData) && original.count > 3_000_000) }
    }

    /// DCMTK's options for the profiles; who is too old for ours is refused.
    @Test(arguments: [
        (.bcp195NonDowngrading, "+py", true), (.bcp195NonDowngrading, "+px", true), (.bcp195NonDowngrading, "+pz", true), (.bcp195NonDowngrading, "+pa", false),
        (.bcp195, "+px", true), (.bcp195, "+pa", true), (.bcp195Extended, "+pz", true), (.bcp195Extended, "+py", true), (.bcp195Extended, "+pa", false),
    ] as [(TLSSettings.Profile, String, Bool)])
    func profilesMeet(profile: TLSSettings.Profile, option: String, meets: Bool) throws {
        var settings = shop.server
        settings.profile = profile
        try withTLS(try Recorder(), settings) { _, port in
            let result = try runTool("echoscu", shop.tool() + [option, "127.0.0.1", "\(port)"])
            #expect((result.status == 0) == meets, "\(result.output)")
        }
    }

    @Test func theExtendedProfileSpeaksTLS12OnlyAndNothingBelowIsSpoken() throws {
        func protocols(_ profile: TLSSettings.Profile) throws -> [String: Bool] {
            var settings = shop.server
            (settings.profile, settings.peerCertificate) = (profile, .none)
            return try withTLS(try Recorder(), settings) { _, port in
                try ["-tls1_1", "-tls1_2", "-tls1_3"].reduce(into: [:]) {
                    $0[$1] = try runTool("openssl", ["s_client", "-brief", $1, "-cipher", "ALL:@SECLEVEL=0", "-connect", "127.0.0.1:\(port)"]).output.contains("CONNECTION ESTABLISHED")
                }
            }
        }
        #expect(try protocols(.bcp195NonDowngrading) == ["-tls1_1": false, "-tls1_2": true, "-tls1_3": true])
        #expect(try protocols(.bcp195Extended) == ["-tls1_1": false, "-tls1_2": true, "-tls1_3": false])
    }

    @Test(arguments: [(.require, [true, false, false]), (.optional, [true, true, false]), (.none, [true, true, true])] as [(TLSSettings.PeerCertificate, [Bool])])
    func clientCertificatesAreRequiredOptionalOrNotLookedAt(rule: TLSSettings.PeerCertificate, expected: [Bool]) throws {
        let recorder = try Recorder()
        var settings = shop.server
        settings.peerCertificate = rule
        let stranger = ["+tls", shop.strangers.path("client.key"), shop.strangers.path("client.pem"), "+cf", shop.certificates.authority]
        let anonymous = ["+tla", "+cf", shop.certificates.authority]
        try withTLS(recorder, settings) { _, port in
            for (options, welcome) in zip([shop.tool(), anonymous, stranger], expected) {
                let answered = try answers(port, options)
                #expect(answered == welcome, "\(options)")
            }
        }
        #expect(recorder.state.withLock { $0.associations.first?.certificateSubject } == (rule == .none ? nil : "CN=client,O=Hospital"))
    }

    @Test func aRevokedCertificateIsRefused() throws {
        let own = try Certificates(in: try Places.temporaryFolder("crl"))
        defer { try? FileManager.default.removeItem(at: own.folder.deletingLastPathComponent()) }
        for name in ["node", "good", "bad"] { try own.issue(name) }
        var settings = TLSSettings(certificate: own.path("node.pem"), key: own.path("node.key"), trusted: own.authority)
        settings.revocation = try own.revoke(["bad"])
        try withTLS(try Recorder(), settings) { _, port in
            for (name, welcome) in [("good", true), ("bad", false)] {
                let options = ["+tls", own.path(name + ".key"), own.path(name + ".pem"), "+cf", own.authority]
                let answered = try answers(port, options)
                #expect(answered == welcome, "\(name)")
            }
        }
    }

    @Test func certificatesAreTakenAnewWithoutARestartAndBrokenOnesLeaveTheOld() throws {
        let own = try Certificates(in: try Places.temporaryFolder("reload"))
        defer { try? FileManager.default.removeItem(at: own.folder.deletingLastPathComponent()) }
        for name in ["first", "second"] { try own.issue(name) }
        func install(_ name: String) throws {
            for suffix in [".pem", ".key"] { try Data(contentsOf: URL(fileURLWithPath: own.path(name + suffix))).write(to: URL(fileURLWithPath: own.path("node" + suffix))) }
        }
        try install("first")
        var settings = TLSSettings(certificate: own.path("node.pem"), key: own.path("node.key"), trusted: own.authority)
        settings.peerCertificate = .none
        try withTLS(try Recorder(), settings) { _, port in
            func subject() throws -> String { try runTool("openssl", ["s_client", "-connect", "127.0.0.1:\(port)"]).output }
            #expect(try subject().contains("CN = first"))
            try install("second")
            #expect(try subject().contains("CN = second"))
            try Data(contentsOf: URL(fileURLWithPath: own.path("first.key"))).write(to: URL(fileURLWithPath: own.path("node.key")))
            #expect(try subject().contains("CN = second"))
            try Data("rubbish".utf8).write(to: URL(fileURLWithPath: own.path("node.pem")))
            #expect(try subject().contains("CN = second"))
            try install("first")
            #expect(try subject().contains("CN = first"))
        }
    }

    @Test func handshakesThatStopAndTheWrongLanguageHinderNobody() throws {
        let recorder = try Recorder()
        try withTLS(recorder) { port, secure in
            // The beginning of a TLS 1.2 ClientHello that announces 512 bytes.
            let hello: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]
            let stopped = (0..<40).compactMap { index -> RawPeer? in
                let peer = RawPeer(port: secure)
                peer?.send(Array(hello.prefix(index % (hello.count + 1))))
                return peer
            }
            let idle = (0..<500).compactMap { _ in RawPeer(port: secure) }
            #expect(stopped.count == 40 && idle.count == 500)
            #expect(try answers(secure, shop.tool() + ["-ta", "10"]))
            #expect(try answers(port, ["-ta", "10"]))
            // Plain text where TLS is spoken: closed after an alert at most.
            let plain = try #require(RawPeer(port: secure))
            plain.send(RawPeer.associateRequest(contexts: [RawPeer.ct]))
            #expect(plain.pdu() == nil)
            // TLS where plain text is spoken: aborted.
            let lost = try #require(RawPeer(port: port))
            lost.send(hello)
            #expect(lost.pdu()?.type == 7)
            #expect(try !answers(port, shop.tool()))
            #expect(try !answers(secure, []))
        }
    }

    @Test func aHandshakeThatDoesNotEndInTimeIsClosed() throws {
        try withTLS(try Recorder(), nil, { $0.associationTimeout = 1 }) { _, port in
            let peer = try #require(RawPeer(port: port))
            peer.send([0x16, 3, 1])
            let elapsed = ContinuousClock().measure { #expect(peer.pdu() == nil) }
            #expect(elapsed > .milliseconds(800))
        }
    }

    @Test func connectionsThatComeToNothingLeaveNoDescriptors() throws {
        let recorder = try Recorder(rejection: { _ in .noReasonGiven })
        try withTLS(recorder) { port, secure in
            func descriptors() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0 }
            let before = descriptors(), request = RawPeer.associateRequest(contexts: [RawPeer.ct])
            for round in 0..<300 {
                let peer = try #require(RawPeer(port: round % 2 == 0 ? secure : port))
                peer.send(round % 3 == 0 ? request : Array([0x16, 3, 1, 2, 0, 1, 0].prefix(round % 7)))
                if round % 5 == 0 { peer.reset() }
            }
            let failed = try (0..<3).map { _ in try answers(secure, shop.tool()) }
            #expect(failed == [false, false, false])
            #expect(recorder.wait { _ in descriptors() <= before + 2 }, "\(descriptors()) of \(before)")
        }
    }

    @Test func onlyTLSMayBeListenedFor() throws {
        try withTLS(try Recorder(), nil, { $0.port = nil }) { port, secure in
            let answered = try answers(port, shop.tool())
            #expect(port == secure && answered)
        }
    }

    // MARK: As requestor

    @Test func storescpTakesFilesByTLS() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let port = try freePort(), storage = folder.appending(path: "in")
        try FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
        let certificates = shop.certificates
        let process = try BackgroundProcess(
            "storescp", ["+tls", certificates.path("other.key"), certificates.path("other.pem"), "+cf", certificates.authority, "-od", storage.path, "\(port)"],
            log: folder.appending(path: "storescp.log"))
        defer { process.kill() }
        let good = peer(port, shop.client, subject: "CN=other,O=Hospital")
        _ = try await eventually("C-ECHO by TLS") { try? ServiceClass.echo(good) }
        let path = try instance("2.25.701", pixels: 3_000_000, in: folder)
        try ServiceClass.store([path], to: good) { #expect((try? $0.result.get()) == .success) }
        #expect(try FileManager.default.contentsOfDirectory(atPath: storage.path).count == 1)

        func failure(_ peer: Peer) -> NetworkError? { #expect(throws: NetworkError.self) { try ServiceClass.echo(peer) } }
        // Its certificate is another's; it leads to nobody trusted; ours leads to nobody that it trusts; we have none.
        let wrong = failure(peer(port, shop.client, subject: "CN=archive"))
        #expect(wrong?.code == .notSecure && wrong?.message.contains("CN=other,O=Hospital") == true)
        var distrustful = shop.client
        distrustful.trusted = shop.strangers.authority
        #expect(failure(peer(port, distrustful))?.code == .notSecure)
        var stranger = shop.client
        (stranger.certificate, stranger.key) = (shop.strangers.path("client.pem"), shop.strangers.path("client.key"))
        #expect(failure(peer(port, stranger))?.code == .notSecure)
        #expect(failure(peer(port, TLSSettings(trusted: certificates.authority)))?.code == .notSecure)
        #expect(failure(peer(port, nil)) != nil)
    }

    @Test func aServerThatStopsInTheHandshakeTimesOut() throws {
        try withSCP(try Recorder()) { port in
            // It waits for the rest of what it takes for an association request.
            let error = #expect(throws: NetworkError.self) { try ServiceClass.echo(peer(port, shop.client)) }
            #expect(error?.code == .notSecure, "\(String(describing: error))")
        }
    }

    @Test(arguments: ["::1", "127.0.0.1", "localhost"])
    func bothFamiliesAreCalledWithTLSAndWithout(host: String) throws {
        let recorder = try Recorder()
        try withTLS(recorder) { port, secure in
            try ServiceClass.echo(peer(port, host: host, nil))
            try ServiceClass.echo(peer(secure, host: host, shop.client, subject: "CN=node,O=Hospital"))
        }
        let addresses = recorder.state.withLock { $0.associations.map(\.peerAddress) }
        #expect(addresses.count == 2 && (host == "localhost" || addresses == [host, host]))
    }

    // MARK: Files

    @Test func filesThatCannotBeUsedAreNamed() throws {
        let certificates = shop.certificates
        try certificates.issue("locked", password: "secret")
        let password = certificates.path("password")
        try "secret\n".write(toFile: password, atomically: true, encoding: .utf8)
        var settings = shop.server
        #expect(throws: Never.self) { try settings.check() }
        (settings.certificate, settings.key, settings.keyPasswordFile) = (certificates.path("locked.pem"), certificates.path("locked.key"), password)
        #expect(throws: Never.self) { try settings.check() }
        func message(_ change: (inout TLSSettings) -> Void) -> String {
            var changed = settings
            change(&changed)
            return #expect(throws: NetworkError.self) { try changed.check() }?.message ?? ""
        }
        #expect(message { $0.keyPasswordFile = nil }.contains("locked.key holds no private key"))
        #expect(message { $0.key = certificates.path("node.key") }.contains("node.key is not that of the certificate in"))
        #expect(message { $0.certificate = password }.contains("password holds no certificate"))
        #expect(message { $0.trusted = certificates.path("absent.pem") }.contains("absent.pem cannot be read"))
        #expect(message { $0.trusted = password }.contains("password cannot be used"))
        let info = try CertificateInfo(file: certificates.path("node.pem"))
        #expect(info.subject == "CN=node,O=Hospital" && info.validTo.timeIntervalSinceNow > 9 * 86400 && info.validFrom < Date())
    }
}
