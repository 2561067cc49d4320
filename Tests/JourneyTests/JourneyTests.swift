import Foundation
import NodeTesting
import Testing

/// One scan from scanner to archives, through the real program, real peers and the installed networks.
@Suite(.serialized) struct JourneyTests {
    /// A real head and neck where ../shared is, else a phantom.
    private func patient(in folder: URL) throws -> String {
        let output = folder.appending(path: "ct").path
        let real = Places.shared.appending(path: "data/openkbp/validation/pt_236.npz").path
        guard FileManager.default.fileExists(atPath: real) else {
            try Phantom.headCT(into: folder.appending(path: "ct"), slices: 44)
            return output
        }
        let converter = Places.shared.appending(path: "tools/openkbp2dicom.py").path
        let result = try runTool(Places.python, [converter, real, output, "--upsample", "2", "--no-rtstruct"])
        #expect(result.status == 0, "\(result.output)")
        return output
    }

    @Test func aScanTravelsToTwoArchivesThoughWorkerAndNodeAreKilledOnTheWay() async throws {
        let folder = try Places.temporaryFolder("journey")
        let orthanc = try await Orthanc.start(in: folder), archive = try await Dcmqrscp.start(in: folder)
        let node = try NodeUnderTest(in: folder, destinations: [
            .init(name: "orthanc", aeTitle: orthanc.aeTitle, port: orthanc.port),
            .init(name: "dcmqrscp", aeTitle: archive.aeTitle, port: archive.port),
        ])
        let doctor = try node.command("doctor")
        #expect(doctor.status == 0, "\(doctor.output)")
        let scan = try patient(in: folder)

        // The worker is killed in its first attempt, the node in the second; the third gets through.
        var process = try await node.serve()
        #expect(try node.send([scan]).status == 0)
        _ = try await node.job("first attempt") { $0.state == "running" }
        let worker = try await eventually("worker") { process.children.first }
        kill(worker, SIGKILL)
        let second = try await node.job("second attempt") { $0.state == "running" && $0.attempts == 2 }
        process.kill()
        process = try await node.serve()
        defer { process.kill() }
        let job = try await node.job(within: 600, "end of the job") {
            !["queued", "running"].contains($0.state) && $0.pending == 0
        }
        #expect(job.id == second.id)
        #expect(job.attempts == 3)
        guard job.state == "succeeded" else {
            // A phantom may hold nothing to contour; a real patient does.
            #expect(job.state == "withheld" && !Places.hasSharedData, "\(job)")
            return
        }
        #expect(job.sent == 4, "two objects, two destinations")

        let (seg, rtstruct) = (folder.appending(path: "SEG.dcm"), folder.appending(path: "RTSTRUCT.dcm"))
        for (modality, file) in [("SEG", seg), ("RTSTRUCT", rtstruct)] {
            let instances = try orthanc.instances(modality: modality)
            #expect(instances.count == 1, "one \(modality) a series")
            try orthanc.fetch(try #require(instances.first), to: file)
            let verdict = try runTool(Places.dciodvfy, [file.path]).output
            #expect(!verdict.contains("Error"), "\(modality): \(verdict)")
        }
        #expect(archive.files.count == 2)
        try judge(scan: scan, seg: seg, rtstruct: rtstruct, job: job, of: node)

        // A resend changes nothing.
        #expect(try node.send([scan]).status == 0)
        try await Task.sleep(for: .seconds(3))
        #expect(try node.jobs().map(\.id) == [job.id])
        #expect(process.terminate() == 0)
    }

    /// Readers that are not ours agree with each other and with what the node says of its result.
    private func judge(scan: String, seg: URL, rtstruct: URL, job: NodeUnderTest.Job, of node: NodeUnderTest) throws {
        struct Shown: Decodable {
            struct Report: Decodable {
                struct Structure: Decodable {
                    let name, state: String
                    let confidence, volumeMillilitres: Double?
                }
                let structures: [Structure]
            }
            let report: Report
        }
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/journey.py").path, scan, seg.path, rtstruct.path])
        #expect(verdict.status == 0, "\(verdict.output)")
        let volumes = try JSONDecoder().decode([String: Double].self, from: Data((verdict.output.split(separator: "\n").last ?? "").utf8))
        let shown = try JSONDecoder().decode(Shown.self, from: Data(node.command("jobs", "show", "\(job.id)", "--json").output.utf8))
        let segmented = shown.report.structures.filter { $0.state == "segmented" }
        #expect(shown.report.structures.count == 7)
        #expect(segmented.count >= 3, "\(shown.report.structures)")
        for structure in segmented {
            let measured = try #require(volumes[structure.name])
            #expect(abs(measured - (structure.volumeMillilitres ?? 0)) < 0.01, "\(structure.name)")
        }
    }
}
