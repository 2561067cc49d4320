import DICOMCore
import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import NodeTesting
import Testing

@testable import Node

private let ct = SOPClass.ctImageStorage.string

/// Modalities ask a running node for storage commitment, by pynetdicom and Orthanc.
@Suite struct CommitmentTests {
    static let transaction = "2.25.7001"

    struct Ask: Encodable {
        var references: [[String]]
        var transaction: String? = CommitmentTests.transaction
        var instance: String?
        var action: Int?
        var raw: String?
    }

    struct Request: Encodable {
        var port = 0
        var aet = "CT1"
        var asks: [Ask]
        var listen: Int?
        var wait = 0.0, after = 0.0
        var reports = 0
        var answers: [Int]?

        init(aet: String = "CT1", _ asks: Ask..., listen: Int? = nil, wait: Double = 0, after: Double = 0, reports: Int = 0, answers: [Int]? = nil) {
            (self.aet, self.asks, self.listen, self.wait, self.after, self.reports, self.answers) = (aet, asks, listen, wait, after, reports, answers)
        }
    }

    struct Verdict: Decodable {
        struct Report: Decodable {
            let association, transaction, calling, called: String
            let type: Int
            let committed: [String]
            let failed: [String: UInt16]
        }
        let statuses: [Int]
        let reports: [Report]
    }

    private func ask(_ node: RunningNode, _ request: Request) throws -> Verdict {
        var request = request
        request.port = node.port
        let file = try Places.temporaryFolder("commitment").appending(path: "request.json")
        try JSONEncoder().encode(request).write(to: file)
        let result = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/commitment.py").path, file.path])
        guard let line = result.output.split(separator: "\n").last, result.status == 0 else { throw Expired(result.output) }
        return try JSONDecoder().decode(Verdict.self, from: Data(line.utf8))
    }

    /// A node that holds 1.1.1 to 1.1.5, and the bench it runs on.
    private func node(peers: String = "[]", delivery: String = "firstRetrySeconds: 0.2, longestRetrySeconds: 0.4, timeoutSeconds: 1") async throws -> (RunningNode, Bench) {
        let bench = try Bench("peers: \(peers)\ndelivery: {\(delivery)}")
        let node = try await RunningNode(bench, worker: "exit 0")
        let folder = try Places.temporaryFolder("slices")
        let paths = try (1...5).map { number in
            let path = folder.appending(path: "\(number).dcm").path
            try Bench.dataSet(sop: "1.1.\(number)", z: Double(number)).write(to: path)
            return path
        }
        let sent = try runTool("storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + paths)
        #expect(sent.status == 0, "\(sent.output)")
        // Its rows, and names, may be a moment behind the answers.
        _ = try await eventually("the rows") { try bench.store.instances(withSOPInstanceUID: "1.1.5").isEmpty ? nil : true }
        return (node, bench)
    }

    private func file(_ sop: String, _ bench: Bench) -> URL { bench.folder.instances.appending(path: "1.2/\(sop).dcm") }

    @Test func anUnknownPeerHearsOnItsOwnAssociationWhatIsOnDisk() async throws {
        let (node, bench) = try await node()
        try FileManager.default.removeItem(at: file("1.1.3", bench))
        var bytes = try Data(contentsOf: file("1.1.4", bench))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: file("1.1.4", bench))
        let verdict = try ask(node, Request(
            Ask(references: [[ct, "1.1.1"], [ct, "1.1.2"], [ct, "1.1.1"], [ct, "1.1.3"], [ct, "1.1.4"], [ct, "9.9.9"], [SOPClass.mrImageStorage.string, "1.1.5"]]),
            wait: 20, reports: 1))
        #expect(verdict.statuses == [0])
        let report = try #require(verdict.reports.first)
        #expect(report.association == "same" && report.type == 2 && report.transaction == Self.transaction)
        #expect(report.committed == ["1.1.1", "1.1.2"], "a reference made twice is reported once")
        #expect(report.failed == ["1.1.3": 0x0112, "1.1.4": 0x0110, "9.9.9": 0x0112, "1.1.5": 0x0119])
        let (commitment, references) = try bench.store.commitment(1)
        #expect(commitment.state == .sent && commitment.failures == 4 && references.count == 6 && commitment.requester == "CT1")
        await node.stop()
    }

    @Test func aKnownPeerIsCalledAndCalledAgainUntilItTakesTheReport() async throws {
        let port = try freePort()
        let (node, bench) = try await node(peers: "[{name: ct1, aeTitle: CT1, host: 127.0.0.1, port: \(port)}]")
        let verdict = try ask(node, Request(Ask(references: [[ct, "1.1.1"]]), listen: port, after: 20, reports: 3, answers: [0x0110, 0x0110]))
        #expect(verdict.statuses == [0])
        #expect(verdict.reports.map(\.type) == [1, 1, 1])
        #expect(verdict.reports.allSatisfy { $0.association == "new" && $0.calling == "MEDLSAM" && $0.called == "CT1" && $0.committed == ["1.1.1"] })
        let commitment = try await eventually("the record") { try bench.store.commitments().first { $0.state == .sent } }
        #expect(commitment.attempts == 3)
        await node.stop()
    }

    @Test func aPeerThatMayBeCalledHearsOnItsAssociationWhenItWantsThat() async throws {
        let (node, _) = try await node(peers: "[{name: ct1, aeTitle: CT1, host: 127.0.0.1, port: 1, commitmentOnSameAssociation: true}]")
        let verdict = try ask(node, Request(Ask(references: [[ct, "1.1.1"]]), wait: 20, reports: 1))
        #expect(verdict.reports.map(\.association) == ["same"] && verdict.reports.map(\.type) == [1])
        await node.stop()
    }

    @Test func whatAStrangerDidNotTakeIsToldAtItsNextRequest() async throws {
        let (node, bench) = try await node()
        _ = try ask(node, Request(Ask(references: [[ct, "1.1.1"]]), wait: 20, reports: 1, answers: [0x0110]))
        let pending = try bench.store.commitment(1).0
        #expect(pending.state == .pending && pending.attempts == 1 && pending.lastStatus == 0x0110)
        let verdict = try ask(node, Request(Ask(references: [[ct, "1.1.2"]], transaction: "2.25.7002"), wait: 20, reports: 2))
        #expect(Set(verdict.reports.map(\.committed)) == [["1.1.1"], ["1.1.2"]])
        await node.stop()
    }

    @Test func aPeerThatNeverAnswersIsGivenUpAndHoldsUpNoOther() async throws {
        let silent = try SilentListener(), port = try freePort()
        let peers = "[{name: silent, aeTitle: SILENT, host: 127.0.0.1, port: \(silent.port)}, {name: ct1, aeTitle: CT1, host: 127.0.0.1, port: \(port)}]"
        let (node, bench) = try await node(peers: peers, delivery: "firstRetrySeconds: 0.1, longestRetrySeconds: 0.1, giveUpAfterHours: 0.0005, timeoutSeconds: 1")
        #expect(try ask(node, Request(aet: "SILENT", Ask(references: [[ct, "1.1.1"]]))).statuses == [0])
        #expect(try ask(node, Request(Ask(references: [[ct, "1.1.1"]]), listen: port, after: 20, reports: 1)).reports.count == 1)
        let given = try await eventually("the end") { try bench.store.commitments().first { $0.state == .failed } }
        #expect(given.requester == "SILENT" && given.attempts > 1 && given.note?.contains("no answer in time") == true, "\(given)")
        await node.stop()
    }

    @Test func aClockThatIsSetGivesNoReportUp() throws {
        let bench = try Bench("peers: [{name: ct1, aeTitle: CT1, host: 127.0.0.1, port: 1}]\ndelivery: {giveUpAfterHours: 1}"), store = bench.store
        for requester in ["CT1", "STRANGER"] {
            _ = try store.recordCommitment(
                transactionUID: Self.transaction, requester: requester, responder: "MEDLSAM", peer: "p", references: [.init(sopClassUID: ct, sopInstanceUID: "1.1")],
                duplicate: 1, firstAttempt: Date(), at: Date())
        }
        func service() -> CommitmentService {
            let commitment = StorageCommitment(store: store, folder: bench.folder, configuration: bench.configuration, logger: bench.logger) {}
            return CommitmentService(commitment: commitment, send: { _, _ in throw NetworkError(.unreachable, "down") }, alarms: [])
        }
        let year = 365 * 86400.0, everybody = [bench.configuration.peers[0], nil]
        let down = service(), begun = ContinuousClock.now
        for peer in everybody { _ = try down.report(to: peer, at: Date(), steady: begun) }
        for peer in everybody { _ = try down.report(to: peer, at: Date() + year, steady: begun + .seconds(60)) }
        #expect(try store.pendingCommitments().map(\.attempts).sorted() == [0, 2])
        // An hour of waiting is the end, whatever the clock says: this run began an hour ago.
        let late = service()
        for peer in everybody { _ = try late.report(to: peer, at: Date(), steady: .now - .seconds(3601)) }
        for peer in everybody { _ = try late.report(to: peer, at: Date() - year, steady: .now) }
        #expect(try store.commitments().map(\.state) == [.failed, .failed])
    }

    @Test func requestsOutliveTheNode() async throws {
        let port = try freePort()
        let (first, bench) = try await node(peers: "[{name: ct1, aeTitle: CT1, host: 127.0.0.1, port: \(port)}]", delivery: "firstRetrySeconds: 0.2, longestRetrySeconds: 0.2, timeoutSeconds: 1")
        #expect(try ask(first, Request(Ask(references: [[ct, "1.1.1"]]))).statuses == [0])
        _ = try await eventually("a try in vain") { try bench.store.commitment(1).0.attempts > 0 ? true : nil }
        await first.stop()
        let second = try await RunningNode(bench, worker: "exit 0")
        let verdict = try ask(second, Request(aet: "OTHER", Ask(references: [[ct, "1.1.2"]]), wait: 20, reports: 1))
        #expect(verdict.reports.map(\.committed) == [["1.1.2"]])
        // A listener of CT1 alone: it hears of what was asked of the node before.
        let late = try ask(second, Request(Ask(references: [[ct, "1.1.1"]]), listen: port, after: 20, reports: 1))
        #expect(late.reports.first?.committed == ["1.1.1"] && late.reports.first?.association == "new")
        #expect(try bench.store.commitments().filter { $0.requester == "CT1" }.count == 1, "the same request once more is the same request")
        await second.stop()
    }

    @Test func badRequestsAreAnsweredWithWhatIsWrong() async throws {
        let (node, bench) = try await node()
        let good = [[ct, "1.1.1"]]
        let verdict = try ask(node, Request(
            Ask(references: good, transaction: nil), Ask(references: []), Ask(references: [[ct, ""]]), Ask(references: good, instance: "1.2.3"),
            Ask(references: good, action: 2), Ask(references: good, raw: "FFFFFFFFFFFFFFFFFFFF")))
        #expect(verdict.statuses == [0x0115, 0x0115, 0x0115, 0x0112, 0x0123, 0x0110])
        #expect(try bench.store.commitments().isEmpty)
        await node.stop()
    }

    @Test func tenThousandReferencesAreNoTrouble() async throws {
        let (node, bench) = try await node()
        let references = (1...10_000).map { [ct, "1.1.\($0)"] }
        let report = try #require(try ask(node, Request(Ask(references: references), wait: 20, reports: 1)).reports.first)
        #expect(report.committed.count == 5 && report.failed.count == 9_995)
        // The same transaction for other instances: the requester has lost count.
        let again = try #require(try ask(node, Request(Ask(references: [[ct, "1.1.1"]]), wait: 20, reports: 1)).reports.first)
        #expect(again.failed == ["1.1.1": 0x0131])
        #expect(try bench.store.commitments().count == 2)
        await node.stop()
    }

    @Test func orthancGetsItsCommitment() async throws {
        let folder = try Places.temporaryFolder("orthanc")
        let port = try freePort()
        let orthanc = try await Orthanc.start(in: folder, modalities: ["node": ("MEDLSAM", port)])
        var bench = try Bench()
        bench.configuration = try Bench.configuration(
            "peers: [{name: orthanc, aeTitle: ORTHANC, host: 127.0.0.1, port: \(orthanc.port)}]", root: bench.folder.root, port: port)
        let node = try await RunningNode(bench, worker: "exit 0")
        let path = folder.appending(path: "a.dcm").path
        try Bench.dataSet(sop: "1.1.1").write(to: path)
        #expect(try runTool("storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)", path]).status == 0)
        #expect(try await orthanc.commitment(of: [(ct, "1.1.1")], by: "node") == "Success")
        #expect(try await orthanc.commitment(of: [(ct, "1.1.1"), (ct, "1.1.9")], by: "node") == "Failure")
        await node.stop()
    }
}

/// Accepts connections and says nothing.
private final class SilentListener {
    let port: Int
    private let descriptor: Int32

    init() throws {
        port = try freePort()
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard bound == 0, listen(descriptor, 64) == 0 else { throw Expired("no listener") }
    }

    deinit { close(descriptor) }
}
