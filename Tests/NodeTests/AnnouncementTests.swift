import DICOMCore
import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import NodeTesting
import Synchronization
import Testing

@testable import Node

private struct Request: Encodable {
    let service: String
    var operation = "create"
    var uid: String? = "1.9"
    var status: String?
    var series: [String: [String]]?
    var availability: String?
}

private struct Answer: Decodable, Equatable {
    let status: Int
    var errorID: Int? = nil
}

private func slices(_ numbers: [Int]) throws -> [String] {
    let folder = try Places.temporaryFolder("slices")
    return try numbers.map { number in
        let path = folder.appending(path: "\(number).dcm").path
        try Bench.dataSet(sop: "1.1.\(number)", z: Double(number)).write(to: path)
        return path
    }
}

private func send(_ numbers: [Int], to port: Int) throws {
    let sent = try runTool("storescu", ["-aec", "MEDLSAM", "-aet", "CT1", "127.0.0.1", "\(port)"] + slices(numbers))
    #expect(sent.status == 0, "\(sent.output)")
}

private func uids(_ numbers: ClosedRange<Int>) -> [String: [String]] { ["1.2": numbers.map { "1.1.\($0)" }] }

/// Modalities and archives announce, by pynetdicom, what a series consists of.
@Suite struct AnnouncementTests {
    private func announce(_ node: RunningNode, _ requests: [Request]) throws -> [Answer] {
        let file = try Places.temporaryFolder("announce").appending(path: "requests.json")
        try JSONEncoder().encode(requests).write(to: file)
        let result = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/announce.py").path, "\(node.port)", file.path])
        guard let line = result.output.split(separator: "\n").last, result.status == 0 else { throw Expired(result.output) }
        return try JSONDecoder().decode([Answer].self, from: Data(line.utf8))
    }

    /// The evidence of the first job.
    private func evidence(_ bench: Bench) async throws -> CompletionEvidence {
        let job = try await eventually("the job") { try bench.store.jobs().first }
        return try CompletionEvidence(json: try #require(bench.store.job(job.id).evidence))
    }

    @Test func aCompletedStepWhoseImagesAreAllHereIsNotWaitedFor() async throws {
        let bench = try Bench("completion: {idleSeconds: 3600, gapSeconds: 3600}"), node = try await RunningNode(bench, worker: "exit 0")
        // With a gap: the step tells that nothing is missing in it.
        try send([1, 2, 3, 7, 8], to: node.port)
        let series = ["1.2": [1, 2, 3, 7, 8].map { "1.1.\($0)" }]
        #expect(try announce(node, [
            Request(service: "MPPS", status: "IN PROGRESS"), Request(service: "MPPS", operation: "set", series: series),
            Request(service: "MPPS", operation: "set", status: "COMPLETED"),
        ]) == [Answer(status: 0), Answer(status: 0), Answer(status: 0)])
        let evidence = try await evidence(bench)
        #expect(evidence.decision == .announced && evidence.gap != nil)
        #expect(evidence.announced?.by == ["MPPS 1.9 COMPLETED from CT1"] && evidence.announced?.instances == 5)
        await node.stop()
    }

    @Test func imagesOfADiscontinuedStepThatAreMissingAreWaitedFor() async throws {
        let bench = try Bench("completion: {idleSeconds: 0.1, gapSeconds: 0.2, missingSeconds: 3600}"), node = try await RunningNode(bench, worker: "exit 0")
        #expect(try announce(node, [
            Request(service: "MPPS", status: "IN PROGRESS"), Request(service: "MPPS", operation: "set", status: "DISCONTINUED", series: uids(1...6)),
        ]) == [Answer(status: 0), Answer(status: 0)])
        try send([1, 2, 3, 4, 5], to: node.port)
        // The idle time is long over by the time that the second association has come and gone.
        #expect(try runTool("echoscu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"]).status == 0)
        #expect(try bench.store.jobs().isEmpty)
        try send([6], to: node.port)
        let evidence = try await evidence(bench)
        #expect(evidence.decision == .announced && evidence.instances == 6 && evidence.announced?.by == ["MPPS 1.9 DISCONTINUED from CT1"])
        await node.stop()
    }

    @Test func aNotificationOfAvailableInstancesIsEvidenceToo() async throws {
        let bench = try Bench("completion: {idleSeconds: 0.1, gapSeconds: 0.2, missingSeconds: 1}"), node = try await RunningNode(bench, worker: "exit 0")
        #expect(try announce(node, [
            Request(service: "IAN", series: uids(1...7)), Request(service: "IAN", uid: "1.10", series: uids(8...9), availability: "UNAVAILABLE"),
        ]) == [Answer(status: 0), Answer(status: 0)])
        try send([1, 2, 3, 4, 5], to: node.port)
        let evidence = try await evidence(bench)
        #expect(evidence.decision == .waitedForMissing && evidence.announced?.instances == 7 && evidence.announced?.missing == 2)
        #expect(evidence.quietSeconds >= 1)
        await node.stop()
    }

    @Test func badAnnouncementsAreAnsweredWithWhatIsWrong() async throws {
        let bench = try Bench(), node = try await RunningNode(bench, worker: "exit 0")
        let requests: [(Request, Answer)] = [
            (Request(service: "MPPS"), Answer(status: 0x0120)),
            (Request(service: "MPPS", status: "COMPLETED"), Answer(status: 0x0106)),
            (Request(service: "MPPS", status: "IN PROGRESS"), Answer(status: 0)),
            (Request(service: "MPPS", status: "IN PROGRESS"), Answer(status: 0x0111)),
            (Request(service: "MPPS", operation: "set", uid: "1.99", status: "COMPLETED"), Answer(status: 0x0112)),
            (Request(service: "MPPS", operation: "set", status: "FINE"), Answer(status: 0x0106)),
            (Request(service: "MPPS", operation: "set", status: "COMPLETED"), Answer(status: 0x0121)),
            (Request(service: "MPPS", operation: "set", status: "COMPLETED", series: uids(1...2)), Answer(status: 0)),
            (Request(service: "MPPS", operation: "set", status: "DISCONTINUED"), Answer(status: 0x0110, errorID: 0xA710)),
            (Request(service: "MPPS", uid: nil, status: "IN PROGRESS"), Answer(status: 0)),
            (Request(service: "IAN"), Answer(status: 0x0120)),
            (Request(service: "IAN", series: [:]), Answer(status: 0x0121)),
            (Request(service: "IAN", series: uids(1...2)), Answer(status: 0)),
            (Request(service: "IAN", series: uids(1...2)), Answer(status: 0x0111)),
            (Request(service: "IAN", operation: "set"), Answer(status: 0x0211)),
        ]
        let answers = try announce(node, requests.map(\.0))
        for ((request, expected), answer) in zip(requests, answers) { #expect(answer == expected, "\(request)") }
        #expect(try bench.store.announcement(.performedProcedureStep, "1.9")?.state == .completed)
        await node.stop()
    }
}

/// Sources are asked by C-FIND how many instances a series has.
@Suite struct SourceInquiryTests {
    private func ask(_ port: Int, _ title: String, series: String = "1.2") throws -> SeriesCount? {
        let peer = Peer(host: "127.0.0.1", port: port, calledAETitle: AETitle(title)!, callingAETitle: AETitle("MEDLSAM")!, messageTimeout: 5)
        return try ServiceClass.countInstances(ofSeries: UID(series)!, study: UID("1.3")!, at: peer)
    }

    @Test func orthancTellsTheCountAndDcmqrscpTheImages() async throws {
        let folder = try Places.temporaryFolder("find")
        let orthanc = try await Orthanc.start(in: folder), archive = try await Dcmqrscp.start(in: folder)
        let paths = try slices(Array(1...6))
        for (title, port) in [(orthanc.aeTitle, orthanc.port), (archive.aeTitle, archive.port)] {
            let sent = try runTool("storescu", ["-aec", title, "127.0.0.1", "\(port)"] + paths)
            #expect(sent.status == 0, "\(sent.output)")
        }
        #expect(try ask(orthanc.port, orthanc.aeTitle) == SeriesCount(instances: 6, level: .series))
        #expect(try ask(archive.port, archive.aeTitle) == SeriesCount(instances: 6, level: .image))
        // The other judge of the same question.
        let findscu = try runTool("findscu", ["-S", "-aec", archive.aeTitle, "-k", "0008,0052=IMAGE", "-k", "0020,000D=1.3", "-k", "0020,000E=1.2", "-k", "0008,0018", "127.0.0.1", "\(archive.port)"])
        #expect(findscu.output.components(separatedBy: "Find Response:").count - 1 == 6, "\(findscu.output)")
        #expect(try ask(orthanc.port, orthanc.aeTitle, series: "1.2.99") == nil && ask(archive.port, archive.aeTitle, series: "1.2.99") == nil)
    }

    @Test func aSeriesIsCompleteAtOnceWhenItsSourceHasNoMoreAndWaitsWhenItHas() async throws {
        let folder = try Places.temporaryFolder("find")
        let orthanc = try await Orthanc.start(in: folder)
        let paths = try slices([1, 2, 3, 7, 8, 9])
        #expect(try runTool("storescu", ["-aec", orthanc.aeTitle, "127.0.0.1", "\(orthanc.port)"] + paths).status == 0)
        let bench = try Bench("""
            completion: {idleSeconds: 0.1, gapSeconds: 3600}
            peers: [{name: orthanc, aeTitle: ORTHANC, host: 127.0.0.1, port: \(orthanc.port), completionQuery: true}]
            """)
        let node = try await RunningNode(bench, worker: "exit 0")
        func send(_ paths: [String]) throws {
            #expect(try runTool("storescu", ["-aet", "ORTHANC", "-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"] + paths).status == 0)
        }
        try send(Array(paths.dropLast()))
        #expect(try runTool("echoscu", ["-aec", "MEDLSAM", "127.0.0.1", "\(node.port)"]).status == 0)
        #expect(try bench.store.jobs().isEmpty)
        try send(Array(paths.suffix(1)))
        let job = try await eventually("the job") { try bench.store.jobs().first }
        let evidence = try CompletionEvidence(json: try #require(bench.store.job(job.id).evidence))
        #expect(evidence.decision == .counted && evidence.gap != nil && evidence.source?.instances == 6 && evidence.source?.level == .series)
        await node.stop()
    }

    @Test func aSourceThatDoesNotAnswerIsSaidToAndHoldsUpNothing() throws {
        let bench = try Bench("""
            completion: {idleSeconds: 1, gapSeconds: 60}
            peers: [{name: ct1, aeTitle: CT1, host: 127.0.0.1, port: 1, completionQuery: true}]
            """)
        let asked = DispatchSemaphore(value: 0), answered = DispatchSemaphore(value: 0)
        let inquiries = SourceInquiries(bench.configuration, ask: { _, _ in
            asked.wait()
            throw NetworkError(.timeout, "CT1: no answer in time")
        }, answered: { answered.signal() })
        let service = AssemblyService(store: bench.store, configuration: bench.configuration, alarm: Alarm(), inquiries: inquiries, queued: {}, logger: bench.logger)
        let start = Date(), steady = ContinuousClock.now
        try bench.receive(1...5, from: "CT1", at: start)
        _ = try service.completeSeries(at: start, steady: steady)
        #expect(try service.completeSeries(at: start + 2, steady: steady + .seconds(2)) == nil, "it waits for the answer, not for a time")
        #expect(try bench.store.jobs().isEmpty)
        asked.signal()
        answered.wait()
        _ = try service.completeSeries(at: start + 3, steady: steady + .seconds(3))
        let job = try #require(try bench.store.jobs().first)
        let evidence = try CompletionEvidence(json: try #require(bench.store.job(job.id).evidence))
        #expect(evidence.decision == .gapFree && evidence.source?.failure == "CT1: no answer in time")
        #expect(evidence.sentence.contains("CT1 could not tell"))
    }
}
