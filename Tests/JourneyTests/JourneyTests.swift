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

    /// What each of four archives is to get: Orthanc and storescp know no label maps, pynetdicom does.
    private static let profiles = [
        "orthanc": "profile: slicer, objects: [SEG, RTSTRUCT, SR], segmentation: {form: labelmap}", "dcmqrscp": "profile: generic",
        "storescp": "profile: eclipse", "pynetdicom": "profile: slicer, segmentation: {form: labelmap}",
    ]
    private static let expected = [
        "orthanc": "SEG,RTSTRUCT,SR", "dcmqrscp": "SEG,RTSTRUCT", "storescp": "RTSTRUCT", "pynetdicom": "LABELMAP,SR",
    ]
    private static let allObjects = "SEG,RTSTRUCT,SR"

    @Test func aScanTravelsToFourArchivesThoughWorkerAndNodeAreKilledOnTheWay() async throws {
        let folder = try Places.temporaryFolder("journey")
        let orthanc = try await Orthanc.start(in: folder), archive = try await Dcmqrscp.start(in: folder)
        let storescp = try await Storescp.start(in: folder), pynetdicom = try await PynetdicomArchive.start(in: folder)
        let node = try NodeUnderTest(in: folder, destinations: [
            .init(name: "orthanc", aeTitle: orthanc.aeTitle, port: orthanc.port, settings: Self.profiles["orthanc"]),
            .init(name: "dcmqrscp", aeTitle: archive.aeTitle, port: archive.port, settings: Self.profiles["dcmqrscp"]),
            .init(name: "storescp", aeTitle: storescp.aeTitle, port: storescp.port, settings: Self.profiles["storescp"]),
            .init(name: "pynetdicom", aeTitle: pynetdicom.aeTitle, port: pynetdicom.port, settings: Self.profiles["pynetdicom"]),
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
        let got = folder.appending(path: "orthanc-got")
        try orthanc.fetchAll(to: got)
        let folders = ["orthanc": got, "dcmqrscp": archive.storage, "storescp": storescp.storage, "pynetdicom": pynetdicom.storage]
        let verdict = try runTool(
            Places.python, [Places.repository.appending(path: "Tests/Judges/profiles.py").path]
                + folders.map { "\($0)=\($1.path)=\(Self.expected[$0]!)" })
        #expect(verdict.status == 0, "\(verdict.output)")
        let shown = try node.command("jobs", "show", "\(job.id)").output
        #expect(shown.contains(/orthanc +SEG LABELMAP +1 +omitted +0 +The peer does not accept/), "\(shown)")
        #expect(shown.contains(/pynetdicom +SEG +1 +omitted/), "\(shown)")

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

        try compare(job, of: node, withWhatAnotherProcessMakesOf: scan)

        // A resend changes nothing.
        #expect(try node.send([scan]).status == 0)
        try await Task.sleep(for: .seconds(3))
        #expect(try node.jobs().map(\.id) == [job.id])
        #expect(process.terminate() == 0)
    }

    /// A process of its own makes of the same scan, for the same moment, the same bytes.
    private func compare(_ job: NodeUnderTest.Job, of node: NodeUnderTest, withWhatAnotherProcessMakesOf scan: String) throws {
        let output = node.folder.appending(path: "segmented"), results = node.folder.appending(path: "data/results/\(job.id)")
        let segmented = try node.command(
            "segment", scan, "--output", output.path, "--destination", "pynetdicom", "--objects", Self.allObjects, "--content-date", job.created)
        #expect(segmented.status == 0, "\(segmented.output)")
        let files = try FileManager.default.contentsOfDirectory(atPath: output.path).filter { $0.hasSuffix(".dcm") }
        #expect(!files.isEmpty)
        for file in files {
            #expect(FileManager.default.contentsEqual(atPath: output.appending(path: file).path, andPath: results.appending(path: file).path), "\(file)")
        }
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
