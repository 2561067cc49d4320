import DICOMCore
import Foundation
import NodeTesting
import Testing

@testable import medlsam_node

/// Selection as a person meets it: `explain` of a folder, `jobs show` of what arrived, `volume` of what is read.
@Suite(.serialized) struct SelectionJourneyTests {
    private static let rules = """
        [{name: scouts, when: {imageType: SCOUT}, contour: false},
         {name: head, when: {bodyPart: HEAD, seriesDescription: doe, slices: {from: 10}}, best: {quietSeconds: 0.5, waitSeconds: 30}}]
        """
    private let folder: URL
    private let node: NodeUnderTest
    private var scan: URL { folder.appending(path: "scan") }

    init() throws {
        folder = try Places.temporaryFolder("selection")
        node = try NodeUnderTest(in: folder, models: false, rules: Self.rules)
    }

    /// Writes a series of the one study; its description names somebody.
    @discardableResult
    private func series(_ name: String, slices: Int = 12, thickness: Double = 5, change: (DataSet, Int) throws -> Void = { _, _ in }) throws -> [String] {
        try Phantom(name: name, columns: 32, rows: 32, slices: slices).write(into: scan.appending(path: name)) { slice, k in
            try slice.set(.studyInstanceUID, "1.2.3")
            try slice.set(.patientName, "PHANTOM")
            try slice.set(.seriesDescription, "DOE JANE")
            try slice.set(.convolutionKernel, "B30f")
            try slice.set(.sliceThickness, [thickness])
            try change(slice, k)
        }
    }

    private struct Explained: Decodable {
        struct Series: Decodable {
            struct Volume: Decodable {
                let size: [Int]
                let spacingMM: [Double]
            }
            let seriesInstanceUID, verdict, reason: String
            let rule, templateSet: String?
            let volume: Volume?
            let leftOut: [String]
            struct Stack: Decodable {
                let slices: Int
                let rule, distinction: String?
                let reason: String
                let isChosen: Bool
                let values: [String: String]?
            }
            let stacks: [Stack]
        }
        let series: [Series]
        let unreadable: [String]

        func of(_ name: String) -> Series? { series.first { $0.seriesInstanceUID == Phantom(name: name).seriesInstanceUID.string } }
    }

    /// What `explain --json` says; complaints follow the JSON, as standard error is read with it.
    private func explain(_ arguments: String...) throws -> (status: Int32, text: String, explained: Explained) {
        let result = try runTool(program("medlsam-node"), ["explain", scan.path, "--json", "--config", node.settings] + arguments)
        let json = String(result.output[...(try #require(result.output.range(of: "\n}\n")?.lowerBound))]) + "\n}"
        return (result.status, result.output, try JSONDecoder().decode(Explained.self, from: Data(json.utf8)))
    }

    @Test func explainSaysOfEachSeriesWhatItWouldBeAndWhy() throws {
        try series("thin", thickness: 1)
        try series("thick")
        try series("short", slices: 6)
        try series("scout") { slice, _ in try slice.set(.imageType, ["ORIGINAL", "PRIMARY", "SCOUT"]) }
        try series("mr") { slice, _ in try slice.set(.sopClassUID, SOPClass.mrImageStorage) }
        var found = try explain()
        #expect(found.status == 0, "\(found.text)")
        let (thin, thick) = (try #require(found.explained.of("thin")), try #require(found.explained.of("thick")))
        #expect(thin.verdict == "contoured" && thin.rule == "head" && thin.templateSet == "head-neck")
        #expect(thin.volume?.size == [32, 32, 12] && thin.volume?.spacingMM == [3, 3, 5])
        #expect(thick.verdict == "passedOver" && thick.reason.contains("thinnest (1 mm against 5 mm)"))
        #expect(found.explained.of("short")?.verdict == "notSelected")
        #expect(found.explained.of("short")?.reason == "No selection rule matches; unmet: scouts (imageType); head (slices 6).")
        #expect(found.explained.of("scout")?.rule == "scouts" && found.explained.of("scout")?.verdict == "notSelected")
        #expect(found.explained.of("mr")?.reason.contains("not CT") == true)
        #expect(!found.text.contains("DOE"), "descriptions hold names")
        found = try explain("--values")
        #expect(found.explained.of("thin")?.stacks[0].values?["seriesDescription"] == "DOE JANE")
        #expect(found.explained.of("thin")?.stacks[0].values?["sliceThicknessMM"] == "1")
    }

    @Test func ofTwoStacksInASeriesARuleTakesTheOneItMatches() throws {
        try series("bone")
        let phantom = Phantom(name: "bone", columns: 32, rows: 32, slices: 12)
        for k in 0..<12 {
            // The same places once more, by another kernel and without the description that the rule asks for.
            let slice = try phantom.slice(k)
            try slice.set(.studyInstanceUID, "1.2.3")
            try slice.set(.patientName, "PHANTOM")
            try slice.set(.convolutionKernel, "A70")
            try slice.set(.sopInstanceUID, "1.2.3.\(k)")
            try slice.set(.pixelData, bytes: [UInt8](repeating: 7, count: 2 * 32 * 32))
            try slice.write(to: scan.appending(path: "bone/again.\(k).dcm").path)
        }
        let found = try explain()
        let series = try #require(found.explained.of("bone"))
        #expect(found.status == 0 && series.verdict == "contoured" && series.volume?.size == [32, 32, 12], "\(found.text)")
        #expect(series.stacks.map(\.slices) == [12, 12] && series.stacks.map(\.isChosen) == [false, true])
        #expect(series.stacks.map(\.rule) == [nil, "head"])
        #expect(series.reason == "Rule head matches: template set head-neck. Of 2 stacks in the series, this is the one of 12 slices.")
        #expect(try explain("--values").explained.of("bone")?.stacks.map(\.distinction) == ["Convolution Kernel A70", "Convolution Kernel B30f"])
    }

    @Test func explainFindsWhatWouldBeRefused() throws {
        try series("broken") { slice, k in if k == 3 { try slice.set(.pixelData, bytes: [1, 2]) } }
        let file = scan.appending(path: "nothing.dcm")
        try (Data(count: 128) + Data("DICM".utf8) + Data([9, 9, 9])).write(to: file)
        let found = try explain()
        #expect(found.status == ExitStatus.findings.rawValue)
        let series = try #require(found.explained.of("broken"))
        #expect(series.verdict == "refused" && series.rule == "head" && series.volume == nil)
        #expect(series.reason.contains(Phantom(name: "broken").sopInstanceUID(3).string), "\(series.reason)")
        #expect(found.explained.unreadable.count == 1 && found.explained.unreadable[0].hasPrefix("nothing.dcm: "))
        #expect(!found.text.contains(scan.path), "a folder's name may be a patient's")
        let text = try runTool(program("medlsam-node"), ["explain", scan.path, "--config", node.settings]).output
        #expect(text.contains("selected, and refused") && text.contains("unreadable: nothing.dcm"))
    }

    @Test func jobsShowSaysWhyASeriesWasSelectedOrNot() async throws {
        let files = try series("thick") + series("thin", thickness: 1) + series("short", slices: 6)
        let process = try await node.serve()
        defer { process.kill() }
        #expect(try node.send(files).status == 0)
        let uid = Phantom(name: "thick").seriesInstanceUID.string
        let passed = try await node.job(within: 60, "the choice") { $0.state == "refused" && $0.seriesInstanceUID == uid }
        #expect(passed.reason?.contains("thinnest (1 mm against 5 mm)") == true, "\(passed)")
        let chosen = try #require(try node.jobs().first { $0.seriesInstanceUID == Phantom(name: "thin").seriesInstanceUID.string })
        let shown = try node.command("jobs", "show", "\(chosen.id)")
        #expect(shown.output.contains("selection: Rule head matches: template set head-neck. It is the best of 2 series that the rule matches."), "\(shown.output)")
        let json = try node.command("jobs", "show", "\(passed.id)", "--json").output
        #expect(json.contains(#""rule" : "head""#) && !json.contains("DOE"), "\(json)")
        #expect(try node.jobs().contains { $0.reason?.hasSuffix("head (slices 6).") == true })
        #expect(!process.output.contains("DOE"), "descriptions are never logged")
    }

    @Test func volumeWritesTheSameBytesEachTimeAndSaysWhatItRead() throws {
        try series("head")
        func volume(_ file: String, _ arguments: String...) throws -> (ToolResult, Data?) {
            let path = folder.appending(path: file)
            let result = try runTool(program("medlsam-node"), ["volume", scan.path, "--nifti", path.path] + arguments)
            return (result, try? Data(contentsOf: path))
        }
        let (first, bytes) = try volume("a.nii.gz"), (_, again) = try volume("b.nii.gz"), (_, plain) = try volume("c.nii")
        #expect(first.status == 0 && first.output.split(separator: "\n").count == 1, "\(first.output)")
        #expect(first.output.contains(#""size":[32,32,12]"#) && first.output.contains(Phantom(name: "head").seriesInstanceUID.string))
        #expect(bytes != nil && bytes == again)
        #expect(plain?.count == 352 + 2 * 32 * 32 * 12 && plain?[344..<348].elementsEqual("n+1\0".utf8) == true)

        try series("other")
        let (several, none) = try volume("d.nii")
        #expect(several.status == ExitStatus.unusableInput.rawValue && several.output.contains("--series") && none == nil, "\(several.output)")
        #expect(try volume("d.nii", "--series", Phantom(name: "other").seriesInstanceUID.string).0.status == 0)
        #expect(try volume("e.nii", "--series", "1.2.3.4").0.status == ExitStatus.noInput.rawValue)
        #expect(try volume("nowhere/e.nii", "--series", Phantom(name: "other").seriesInstanceUID.string).0.status == ExitStatus.cannotCreate.rawValue)
    }
}
