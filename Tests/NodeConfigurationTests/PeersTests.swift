import DICOMCore
import Foundation
import Testing

@testable import NodeConfiguration

@Suite struct PeersTests {
    private func parse(_ yaml: String) throws -> Configuration {
        try Configuration.parse("""
            aeTitle: MEDLSAM
            dataDirectory: data
            models: {manifests: m, installed: i, runtime: /r, templates: t}
            \(yaml)
            """, folder: URL(fileURLWithPath: "/etc/medlsam"))
    }

    private func errors(_ yaml: String) -> [String] {
        do {
            _ = try parse(yaml)
            return []
        } catch { return (error as? ConfigurationErrors)?.errors.map(\.description) ?? [] }
    }

    @Test func aDestinationMayBeOneOfThePeers() throws {
        let configuration = try parse("""
            tls: {trusted: ca.pem}
            peers:
              - {name: archive, aeTitle: ARCHIVE, host: pacs, port: 104, callingAETitle: ME, tls: true, certificateSubject: CN=pacs}
              - {name: ct, aeTitle: CT, networks: [192.0.2.0/24, "2001:db8::1"], maximumAssociations: 2}
            destinations:
              - peer: archive
              - {name: other, aeTitle: OTHER, host: h, port: 105}
            """)
        #expect(configuration.destinations == [
            .init(name: "archive", aeTitle: AETitle("ARCHIVE")!, host: "pacs", port: 104, callingAETitle: AETitle("ME")!, tls: true, certificateSubject: "CN=pacs"),
            .init(name: "other", aeTitle: AETitle("OTHER")!, host: "h", port: 105),
        ])
        #expect(configuration.peers[1].networks?.map(\.description) == ["192.0.2.0/24", "2001:db8::1"] && configuration.peers[1].host == nil)
        #expect(configuration.tls?.trusted == "/etc/medlsam/ca.pem" && configuration.tls?.profile == .bcp195NonDowngrading)
    }

    @Test func whatDoesNotGoTogetherIsAnErrorOfItsPlace() {
        let found = errors("""
            access: {calledAETitles: [A, "B\\\\C"], networks: [10.0.0.0/33], usersOnly: true, peersOnly: perhaps}
            peers:
              - {name: a, aeTitle: A, tls: true}
              - {name: a, aeTitle: B, host: h}
              - {name: c, aeTitle: C, certificateSubject: CN=c}
            destinations:
              - {peer: b}
              - {peer: a, port: 104}
            """)
        for expected in [
            "access.calledAETitles: \"B\\C\" is not an AE title", "access.networks: 10.0.0.0/33 is neither", "access.usersOnly: needs users",
            "access.peersOnly: perhaps is neither true nor false", "peers[0].tls: needs the section tls",
            "peers[1].name: a is the name of an earlier peer", "peers[1]: needs host and port, or neither", "peers[2].certificateSubject: needs tls: true",
            "destinations[0].peer: b is none of the peers", "destinations[1].port: is said by the peer", "destinations[1].peer: a has no host and port",
        ] { #expect(found.contains { $0.hasPrefix(expected) }, "\(expected) not in \(found)") }
        let tls = errors("tls: {port: 2762, profile: basic, peerCertificate: maybe}")
        for expected in ["tls.trusted: is missing", "tls.certificate: is needed", "tls.profile: basic is none of bcp195, bcp195-nd, bcp195-ex", "tls.peerCertificate: maybe is none"] {
            #expect(tls.contains { $0.hasPrefix(expected) }, "\(expected) not in \(tls)")
        }
    }

    @Test func calledTitlesAreAnyOrOwnOrAList() throws {
        #expect(try parse("").access.calledAETitles == nil)
        #expect(try parse("access: {calledAETitles: any}").access.calledAETitles == nil)
        #expect(try parse("access: {calledAETitles: own}").access.calledAETitles?.map(\.string) == ["MEDLSAM"])
        #expect(try parse("access: {calledAETitles: [A, B]}").access.calledAETitles?.map(\.string) == ["A", "B"])
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.3.4", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.8", false),
        ("192.0.2.0/25", "192.0.2.127", true), ("192.0.2.0/25", "192.0.2.128", false), ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false), ("fe80::/10", "fe80::1%eth0", true), ("::/0", "::1", true),
    ])
    func anAddressLiesInARangeOrNot(range: String, address: String, isInside: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(address) == isInside)
    }

    @Test(arguments: ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "::/129", "host", "10.0.0.0/-1"])
    func whatIsNoRangeIsNone(text: String) { #expect(AddressRange(text) == nil) }
}
