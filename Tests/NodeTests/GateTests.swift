import DICOMCore
import Foundation
import Logging
import NodeConfiguration
import NodeTesting
import Synchronization
import Testing

@testable import DICOMNetwork
@testable import Node

/// Stands behind a gate and counts.
private final class Room: StorageHandler {
    let ended = Mutex(0)

    func accepts(_ association: AssociationInfo) -> AssociationRejection? { nil }
    func destination(of request: StoreRequest, on association: AssociationInfo) -> StoreDestination { .refuse(.outOfResources) }
    func ended(_ association: AssociationInfo, released: Bool) { ended.withLock { $0 += 1 } }
}

@Suite struct GateTests {
    private let room = Room()

    private func gate(_ settings: String) throws -> Gate {
        Gate(try Bench(settings).configuration, before: room, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private func info(
        _ id: UInt64 = 1, calling: String = "CT1", called: String = "MEDLSAM", from address: String = "192.0.2.1", isSecure: Bool = false, subject: String? = nil
    ) -> AssociationInfo {
        AssociationInfo(
            id: id, callingAETitle: AETitle(calling)!, calledAETitle: AETitle(called)!, peerAddress: address, isSecure: isSecure, certificateSubject: subject)
    }

    @Test func withoutRulesEverybodyMayComeIn() throws {
        let gate = try gate("")
        #expect(gate.accepts(info(calling: "ANYBODY", called: "ANYTHING", from: "2001:db8::1")) == nil)
        #expect(gate.recognition(of: UserIdentity(name: "somebody", passcode: nil), on: info()) == .ignored)
    }

    @Test(arguments: [("own", "MEDLSAM", true), ("own", "OTHER", false), ("[A, B]", "B", true), ("[A, B]", "MEDLSAM", false), ("any", "OTHER", true)])
    func calledTitlesAreHeldToTheSetting(setting: String, called: String, isWelcome: Bool) throws {
        #expect(try gate("access: {calledAETitles: \(setting)}").accepts(info(called: called)) == (isWelcome ? nil : .calledAETitleNotRecognized))
    }

    @Test(arguments: [("192.0.2.1", true), ("192.0.3.1", false), ("2001:db8::7", true), ("2001:db9::7", false)])
    func addressesAreHeldToTheNetworks(address: String, isWelcome: Bool) throws {
        let gate = try gate(#"access: {networks: [192.0.2.0/24, "2001:db8::/32"]}"#)
        #expect(gate.accepts(info(from: address)) == (isWelcome ? nil : .callingAETitleNotRecognized))
    }

    @Test func onlyPeersMayComeInWhereThatIsSaid() throws {
        let gate = try gate("""
            access: {peersOnly: true}
            peers:
              - {name: ct1, aeTitle: CT1, networks: [192.0.2.1]}
              - {name: ct1-annex, aeTitle: CT1, networks: [192.0.2.9]}
            """)
        #expect(gate.accepts(info()) == nil && gate.accepts(info(2, from: "192.0.2.9")) == nil)
        #expect(gate.accepts(info(3, from: "192.0.2.2")) == .callingAETitleNotRecognized)
        #expect(gate.accepts(info(4, calling: "CT2")) == .callingAETitleNotRecognized)
    }

    @Test func aTitleThatIsTiedToACertificateNeedsIt() throws {
        let gate = try gate("""
            tls: {trusted: ca.pem}
            peers:
              - {name: ct1, aeTitle: CT1, tls: true, certificateSubject: "CN=ct1,O=Hospital"}
              - {name: ct2, aeTitle: CT2, tls: true}
            """)
        #expect(gate.accepts(info(isSecure: true, subject: "CN=ct1,O=Hospital")) == nil)
        for (isSecure, subject) in [(false, nil), (true, nil), (true, "CN=ct2,O=Hospital")] as [(Bool, String?)] {
            #expect(gate.accepts(info(isSecure: isSecure, subject: subject)) == .callingAETitleNotRecognized)
        }
        #expect(gate.accepts(info(calling: "CT2", isSecure: true)) == nil && gate.accepts(info(calling: "CT2")) == .callingAETitleNotRecognized)
        // Titles that nobody listed are free where peersOnly is not set.
        #expect(gate.accepts(info(calling: "CT3")) == nil)
    }

    @Test func aPeerHasNoMoreAssociationsThanItMay() throws {
        let gate = try gate("peers: [{name: ct1, aeTitle: CT1, maximumAssociations: 2}]")
        #expect(gate.accepts(info(1)) == nil && gate.accepts(info(2)) == nil)
        #expect(gate.accepts(info(3)) == .localLimitExceeded)
        #expect(gate.accepts(info(4, calling: "CT2")) == nil)
        gate.ended(info(1), released: true)
        #expect(gate.accepts(info(5)) == nil && room.ended.withLock { $0 } == 1)
    }

    @Test func usersAreKnownByNameAndPasscode() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "passcode")
        try "secret\nnot this\n".write(to: file, atomically: true, encoding: .utf8)
        for only in [false, true] {
            let gate = try gate("access: {usersOnly: \(only), users: [{name: a, passcodeFile: \(file.path)}, {name: b}, {name: c, passcodeFile: /absent}]}")
            func recognition(_ name: String, _ passcode: String?) -> UserRecognition { gate.recognition(of: UserIdentity(name: name, passcode: passcode), on: info()) }
            #expect(recognition("a", "secret") == .recognized && recognition("b", nil) == .recognized && recognition("b", "x") == .recognized)
            for (name, passcode) in [("a", "secre"), ("a", "secreT"), ("a", "wecret"), ("a", nil), ("c", ""), ("c", nil), ("d", nil)] as [(String, String?)] {
                #expect(recognition(name, passcode) == .refused, "\(name)")
            }
            #expect(gate.recognition(of: nil, on: info()) == (only ? .refused : .ignored))
        }
    }

    @Test func aRefusalReachesThePeer() throws {
        let gate = try gate("access: {calledAETitles: own}")
        let scp = StorageSCP(configuration: StorageSCPConfiguration(address: "::1", port: 0), handler: gate, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let port = try scp.start()
        defer { scp.stop() }
        func echo(_ called: String) -> NetworkError? {
            do {
                try ServiceClass.echo(Peer(host: "::1", port: port, calledAETitle: AETitle(called)!, callingAETitle: AETitle("CT1")!))
                return nil
            } catch { return error }
        }
        #expect(echo("MEDLSAM") == nil)
        #expect(echo("OTHER")?.code == .rejected(.calledAETitleNotRecognized))
    }

    // MARK: The doctor

    @Test func theDoctorLooksAtCertificatesAndWarnsBeforeTheyEnd() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let certificates = try Certificates(in: folder)
        let (certificate, key) = try certificates.issue("node", days: 100)
        try certificates.issue("other")
        func checks(key: String = key, in days: Double = 0) throws -> [Doctor.Check] {
            let settings = "tls: {certificate: \(certificate), key: \(key), trusted: \(certificates.authority)}"
            return Doctor.accessChecks(try Bench(settings).configuration, at: Date() + days * 86400)
        }
        func states(_ checks: [Doctor.Check]) -> [Doctor.Check.State] { checks.map(\.state) }
        #expect(states(try checks()) == [.ok, .ok, .warning]) // the authority lasts ten days
        #expect(states(try checks(in: 80)) == [.ok, .warning, .warning])
        #expect(states(try checks(in: 101)) == [.ok, .failure, .warning])
        let wrong = try checks(key: certificates.path("other.key"))
        #expect(wrong[0].state == .failure && wrong[0].message.contains("other.key is not that of the certificate"))
        let passcode = Doctor.accessChecks(try Bench("access: {users: [{name: a, passcodeFile: /absent}]}").configuration)
        #expect(states(passcode) == [.failure])
    }
}
