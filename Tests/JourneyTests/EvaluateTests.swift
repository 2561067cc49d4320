import Foundation
import NodeTesting
import Testing
@testable import medlsam_node

/// `evaluate` from the clinic's DICOM to the report, on a real head and neck, against a judge in Python.
@Suite(.enabled(if: Places.hasSharedData, "needs the shared data")) struct EvaluateTests {
    private let folder: URL
    private let node: NodeUnderTest

    init() throws {
        folder = try Places.temporaryFolder("evaluate")
        node = try NodeUnderTest(in: folder)
        for (part, patient) in [("train", "pt_1"), ("validation", "pt_236")] {
            let npz = Places.shared.appending(path: "data/openkbp/\(part)/\(patient).npz").path
            let made = try runTool(Places.python, [Places.shared.appending(path: "tools/openkbp2dicom.py").path, npz, path("\(part)/\(patient)")])
            try #require(made.status == 0, "\(made.output)")
        }
        for name in ["no-contours", "no-dicom"] { try FileManager.default.createDirectory(atPath: path("validation/\(name)"), withIntermediateDirectories: true) }
        try FileManager.default.copyItem(atPath: path("validation/pt_236/CT.0001.dcm"), toPath: path("validation/no-contours/CT.0001.dcm"))
    }

    private func path(_ name: String) -> String { folder.appending(path: name).path }

    private func evaluate() throws -> ToolResult {
        try node.command("evaluate", "--cases", path("validation"), "--support-cases", path("train"), "--supports", "1", "--seeds", "7",
                         "--methods", "given+box,given+shape", "--report", path("report"))
    }

    @Test func whatIsReportedIsWhatAnOutsideJudgeFindsInTheObjectsAndARerunGoesOn() throws {
        let first = try evaluate()
        #expect(first.status == ExitStatus.findings.rawValue, "\(first.output)")
        #expect(first.output.contains("no-dicom") && first.output.contains("no-contours holds no RT Structure Set"), "\(first.output)")
        for method in ["given+box", "given+shape"] { try compare(method) }
        let report = try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appending(path: "report/evaluation.json"))) as? [String: Any]
        #expect(report?["format"] as? Int == 1 && (report?["failures"] as? [Any])?.count == 2 && (report?["scores"] as? [Any])?.count == 2)
        let page = try String(contentsOf: folder.appending(path: "report/index.html"), encoding: .utf8)
        #expect(page.contains("<img") && page.contains("<svg"))
        for leak in ["Anonymous", "PatientName", folder.path] { #expect(!page.contains(leak)) }
        // As after a kill between two cases: what is finished is not done again.
        try FileManager.default.removeItem(atPath: path("report/draws/seed-7/given+shape/pt_236/score.json"))
        let again = try evaluate()
        #expect(again.output.contains("given+shape, pt_236:") && !again.output.contains("given+box, pt_236:"), "\(again.output)")
    }

    /// Dice, box IoU and wall distance by highdicom, pydicom and scikit-image, as Training/evaluate.py judges.
    private func compare(_ method: String) throws {
        let script = """
            import json, sys
            from pathlib import Path
            sys.path.insert(0, sys.argv[1])
            from evaluate import read_case, drawn_masks, returned_masks, judged
            case, out = Path(sys.argv[2]), Path(sys.argv[3])
            slice_of, axes, origin, shape, structure_set = read_case(case)
            drawn, found = drawn_masks(structure_set, axes, origin, shape), returned_masks(out / "SEG.dcm", slice_of, shape)
            score = json.loads((out / "score.json").read_text())
            for s in score["structures"]:
                if s["extent"] == "whole" and s["state"] == "segmented":
                    print(s["name"], *(abs(a - b) for a, b in zip(judged(found[s["name"]], drawn[s["name"]], axes),
                          (s["mask"]["dice"], s["mask"]["box"]["iou"], s["mask"]["box"]["wallDistanceMM"]))))
            """
        let judge = try runTool(Places.python, ["-c", script, Places.repository.appending(path: "Training").path, path("validation/pt_236"), path("report/draws/seed-7/\(method)/pt_236")])
        let lines = judge.output.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(judge.status == 0 && lines.count >= 3, "\(judge.output)")
        #expect(lines.allSatisfy { $0.count == 4 && $0.dropFirst().allSatisfy { Double($0)! < 1e-6 } }, "\(judge.output)")
    }

    @Test func whatCannotBeStartedIsSaidAtOnce() throws {
        #expect(try node.command("evaluate", "--cases", path("train/pt_1"), "--report", path("report")).status == ExitStatus.noInput.rawValue)
        let wrong = try node.command("evaluate", "--cases", path("train"), "--methods", "medlam", "--report", path("report"))
        #expect(wrong.status == ExitStatus.usage.rawValue && wrong.output.contains("medlam is no method"), "\(wrong.output)")
        let few = try node.command("evaluate", "--cases", path("train"), "--report", path("report"))
        #expect(few.status == ExitStatus.unusableInput.rawValue && few.output.contains("fewer than the 5"), "\(few.output)")
    }
}
