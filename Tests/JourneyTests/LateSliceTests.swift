import Foundation
import NodeTesting
import Testing

/// A slice comes after its series has been contoured.
@Suite(.enabled(if: Places.hasSharedData, "needs a patient"), .serialized) struct LateSliceTests {
    /// A template set of one small organ, so that a job takes seconds.
    private func templates(in folder: URL) throws -> URL {
        let set = try JSONSerialization.jsonObject(with: Data(contentsOf: Places.repository.appending(path: "Models/templates/head-neck.json")))
        guard var set = set as? [String: Any] else { throw Expired("no template set") }
        func larynx(_ value: Any?) -> [String: Any] { (value as? [String: Any] ?? [:]).filter { $0.key == "Larynx" } }
        set["structures"] = (set["structures"] as? [[String: Any]])?.filter { $0["name"] as? String == "Larynx" }
        set["supports"] = (set["supports"] as? [Any])?.map(larynx)
        for key in ["contrasts", "typicalSimilarity", "leastConfidence"] { set[key] = larynx(set[key]) }
        let templates = folder.appending(path: "templates")
        try FileManager.default.createDirectory(at: templates, withIntermediateDirectories: true)
        try JSONSerialization.data(withJSONObject: set).write(to: templates.appending(path: "head-neck.json"))
        return templates
    }

    @Test func theSupersedingJobsObjectsNameThoseThatTheyReplace() async throws {
        let folder = try Places.temporaryFolder("late"), scan = folder.appending(path: "ct").path
        let converter = Places.shared.appending(path: "tools/openkbp2dicom.py").path
        let patient = Places.shared.appending(path: "data/openkbp/validation/pt_236.npz").path
        #expect(try runTool(Places.python, [converter, patient, scan, "--no-rtstruct"]).status == 0)
        let slices = try FileManager.default.contentsOfDirectory(atPath: scan).sorted().map { scan + "/" + $0 }
        let orthanc = try await Orthanc.start(in: folder)
        let node = try NodeUnderTest(in: folder, destinations: [.init(name: "orthanc", aeTitle: orthanc.aeTitle, port: orthanc.port)])
        let settings = try String(contentsOfFile: node.settings, encoding: .utf8)
            .replacing(Places.repository.appending(path: "Models/templates").path, with: try templates(in: folder).path)
        try settings.write(toFile: node.settings, atomically: true, encoding: .utf8)
        let process = try await node.serve()
        defer { process.kill() }

        func objects(after job: String, known: Set<String>) async throws -> (files: [URL], identifiers: Set<String>) {
            var files: [URL] = [], identifiers: Set<String> = []
            for modality in ["SEG", "RTSTRUCT"] {
                let new = try #require(try orthanc.instances(modality: modality).first { !known.contains($0) })
                let file = folder.appending(path: "\(job) \(modality).dcm")
                try orthanc.fetch(new, to: file)
                files.append(file)
                identifiers.insert(new)
            }
            return (files, identifiers)
        }
        #expect(try node.send(Array(slices.dropLast())).status == 0)
        let first = try await node.job(within: 300, "the first job") { $0.sent == 2 }
        let old = try await objects(after: "old", known: [])
        #expect(try node.send(Array(slices.suffix(1))).status == 0)
        let second = try await node.job(within: 300, "the second job") { $0.id != first.id && $0.sent == 2 }
        #expect(second.instances == slices.count && first.instances == slices.count - 1)
        let new = try await objects(after: "new", known: old.identifiers)
        let files = (old.files + new.files).map(\.path)
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/replaced.py").path] + files)
        #expect(verdict.status == 0, "\(verdict.output)")
        for file in new.files {
            let complaints = try runTool(Places.dciodvfy, [file.path]).output
            #expect(!complaints.contains("Error"), "\(complaints)")
        }
        let shown = try node.command("jobs", "show", "\(second.id)").output
        #expect(shown.contains("complete: released, quiet and gap-free: \(slices.count) instances") && shown.contains("supersedes: job \(first.id)"), "\(shown)")
        #expect(process.terminate() == 0)
    }
}
