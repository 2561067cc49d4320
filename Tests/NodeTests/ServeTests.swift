import DICOMCore
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import NodeTesting
import Synchronization
import Testing

@testable import Node

/// A running node whose worker is a shell script.
final class RunningNode: Sendable {
    let port: Int
    private let task: Task<Void, any Error>

    init(_ bench: Bench, worker script: String) async throws {
        let executable = bench.folder.root.appending(path: "worker.sh")
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: executable)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: executable.path)
        let (ports, ready) = AsyncStream<Int>.makeStream()
        task = Task {
            defer { ready.finish() }
            try await serve(bench.configuration, executable: executable, logger: bench.logger) { ready.yield($0) }
        }
        var found: Int?
        for await port in ports {
            found = port
            break
        }
        guard let found else {
            try await task.value
            throw NodeError(.worker, "ended before it was ready")
        }
        port = found
    }

    func stop() async {
        task.cancel()
        _ = await task.result
    }
}

@Suite struct ServeTests {
    /// With an archive on a port, for the one object that the workers here make.
    private static func quick(archive port: Int = 1) -> String {
        """
        completion: {idleSeconds: 0.2, gapSeconds: 1}
        destinations: [{name: archive, aeTitle: ARCHIVE, host: 127.0.0.1, port: \(port), objects: [SEG]}]
        """
    }

    private func slices(_ heights: [Double]) throws -> [String] {
        let folder = try Places.temporaryFolder("slices")
        return try heights.map { z in
            let path = folder.appending(path: "\(z).dcm").path
            try Bench.dataSet(sop: "1.1.\(Int(z))", z: z).write(to: path)
            return path
        }
    }

    private func send(_ paths: [String], to port: Int) throws {
        let sent = try runTool("storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(port)"] + paths)
        #expect(sent.status == 0, "\(sent.output)")
    }

    @Test func aSeriesBecomesAJobAndItsResultReachesTheArchive() async throws {
        let archive = try Receiver()
        let bench = try Bench(Self.quick(archive: archive.port))
        let node = try await RunningNode(bench, worker: bench.scriptThatMakesASegmentation(of: "1.1.1", z: 1))
        try send(slices([1, 2, 3, 4, 5]), to: node.port)
        let job = try await eventually("the delivery") { try bench.store.jobs().first { $0.sent == 1 } }
        #expect(job.state == .succeeded && job.instances == 5)
        #expect(try archive.kept() == ["1.5.dcm"])
        #expect(try bench.store.job(job.id).evidence?.contains("\"lastAssociation\":\"released\"") == true)
        await node.stop()
    }

    @Test func aNodeGoesOnWhereItStopped() async throws {
        let bench = try Bench(Self.quick())
        var node = try await RunningNode(bench, worker: "exec sleep 60")
        try send(slices([1, 2, 3, 4, 5]), to: node.port)
        _ = try await eventually("the job") { try bench.store.jobs(states: [.running]).first }
        await node.stop()
        #expect(try bench.store.jobs().map(\.state) == [.queued])
        #expect(try bench.store.jobs().map(\.attempts) == [0], "a stop in good order costs no attempt")
        node = try await RunningNode(bench, worker: bench.scriptThatMakesASegmentation(of: "1.1.1", z: 1))
        _ = try await eventually("the result") { try bench.store.jobs(states: [.succeeded]).first }
        await node.stop()
    }

    @Test func lateSlicesMakeASupersedingJob() async throws {
        let bench = try Bench(Self.quick())
        let node = try await RunningNode(bench, worker: bench.scriptThatMakesASegmentation(of: "1.1.1", z: 1))
        try send(slices([1, 2, 3, 4, 5]), to: node.port)
        _ = try await eventually("the first job") { try bench.store.jobs(states: [.succeeded]).first }
        try send(slices([6]), to: node.port)
        let jobs = try await eventually("the second job") {
            let jobs = try bench.store.jobs(states: [.succeeded])
            return jobs.count == 2 ? jobs : nil
        }
        #expect(jobs[0].supersedes == jobs[1].id && jobs[0].instances == 6)
        await node.stop()
    }

    @Test func aGapIsWaitedForAndThenHandedOn() async throws {
        let bench = try Bench(Self.quick())
        let node = try await RunningNode(bench, worker: bench.scriptThatMakesASegmentation(of: "1.1.1", z: 1))
        try send(slices([1, 2, 3, 7, 8, 9]), to: node.port)
        let job = try await eventually("the job") { try bench.store.jobs(states: [.succeeded]).first }
        #expect(try bench.store.job(job.id).evidence?.contains("\"gap\":") == true)
        await node.stop()
    }

    @Test func aSecondNodeOnTheSameFolderDoesNotStart() async throws {
        let bench = try Bench()
        let node = try await RunningNode(bench, worker: "exit 0")
        await #expect(throws: NodeError.self) { _ = try await RunningNode(bench, worker: "exit 0") }
        await node.stop()
    }

    @Test func doctorNamesWhatIsMissingAndWhatToDo() async throws {
        let bench = try Bench("destinations: [{name: archive, aeTitle: ARCHIVE, host: 127.0.0.1, port: 1}]")
        let checks = await Doctor.run(bench.configuration)
        func state(_ name: String) -> Doctor.Check.State? { checks.first { $0.name == name }?.state }
        #expect(state("data dictionary") == .ok && state("font") == .ok && state("data folder") == .ok && state("disk") == .ok)
        #expect(state("OpenVINO") == .failure && state("model segmenter-hn") == .failure)
        #expect(state("MedLAM of template set head-neck") == .failure && state("destination archive") == .failure)
        #expect(checks.allSatisfy { $0.state == .ok || $0.whatToDo != nil })
    }

    @Test func doctorSaysWhatADestinationDoesNotAccept() async throws {
        let storescp = try await Storescp.start(in: Places.temporaryFolder("storescp"))
        func check(_ settings: String) async throws -> Doctor.Check {
            let bench = try Bench("destinations: [{name: archive, aeTitle: STORESCP, host: 127.0.0.1, port: \(storescp.port), \(settings)}]")
            return try #require(await Doctor.run(bench.configuration).first { $0.name == "destination archive" })
        }
        #expect(try await check("profile: slicer, segmentation: {form: labelmap}").state == .ok, "BINARY goes in the label map's place")
        storescp.process.kill()
        #expect(try await check("profile: slicer").state == .failure)
    }

    @Test func doctorSaysWhatAChosenMethodLacks() async throws {
        let bench = try Bench("contouring: {localiser: registration, segmenter: medsam-vit-b}")
        let checks = await Doctor.run(bench.configuration).filter { $0.state == .failure }
        #expect(checks.first { $0.name == "model medsam-vit-b" }?.message.contains("no weights yet: import medsam_vit_b.pth") == true)
        #expect(!checks.contains { $0.name.hasPrefix("MedLAM") || $0.name == "model lite-medsam" })
    }

    @Test func doctorLooksForTheTemplateSetOfEveryRule() async throws {
        let bench = try Bench("selection: {rules: [{name: a, when: {modality: CT}}, {name: b, templateSet: nowhere}]}")
        let checks = await Doctor.run(bench.configuration).filter { $0.name.hasPrefix("template set") }
        #expect(checks.map(\.name) == ["template set head-neck", "template set nowhere"] && checks.map(\.state) == [.ok, .failure])
    }
}
