import Foundation
import ImagingGeometry
import MedLSAM
import NodeConfiguration
import NodeTesting
import Testing

@testable import Node

@Suite struct EvaluationTests {
    private let geometry = VolumeGeometry(size: [20, 20, 20], spacingMM: [4, 4, 2.5], originLPS: [-10, 20, 30])

    private func block(_ low: SIMD3<Int>, _ high: SIMD3<Int>) -> Mask {
        Mask(geometry: geometry, voxels: (0..<geometry.count).map { offset in
            let index = geometry.index(atOffset: offset)
            return all(index .>= low) && all(index .<= high) ? 1 : 0
        })
    }

    private func outcome(_ name: String, _ state: StructureState, _ confidence: Double? = 0.7, withheld: Mask? = nil, box: Bounds? = nil) -> StructureOutcome {
        StructureOutcome(definition: StructureDefinition.headNeck.first { $0.name == name }!, state: state, confidence: confidence, mask: nil, boxLPS: box, withheldMask: withheld)
    }

    // MARK: - One structure

    @Test func aBoxOfAMaskRunsFromOuterFaceToOuterFace() throws {
        let box = try #require(Bounds(of: block([2, 3, 4], [5, 3, 7])))
        #expect(box.low == SIMD3(-4, 30, 38.75) && box.high == SIMD3(12, 34, 48.75))
    }

    @Test func theScoreOfAShiftedBlockIsWhatOneComputesByHand() throws {
        let drawn = block([4, 4, 4], [9, 9, 9]), found = block([5, 4, 4], [10, 9, 9])
        let score = try #require(Comparison(outcome: outcome("Brainstem", .segmented, box: Bounds(of: drawn)), givenOut: found, drawn: drawn).scores().first)
        #expect(score.box?.iou == 1 && score.box?.wallDistanceMM == 0)
        let mask = try #require(score.mask)
        #expect(abs(mask.dice - 5.0 / 6) < 1e-12)
        #expect(abs(mask.box!.iou - 5.0 / 7) < 1e-12 && abs(mask.box!.wallDistanceMM - 8.0 / 6) < 1e-12)
        #expect(mask.hd95MM == 4)
        // 8 of 6 + 2 voxels a side, 4 of 6 - 2.
        #expect(abs(score.oneVoxelOut - pow(6.0 / 8, 3)) < 1e-12 && abs(score.oneVoxelIn - pow(4.0 / 6, 3)) < 1e-12)
    }

    @Test func aCordIsJudgedWholeAndWhereItWasDrawn() throws {
        let drawn = block([8, 8, 5], [10, 10, 10]), found = block([8, 8, 0], [10, 10, 10])
        let scores = Comparison(outcome: outcome("SpinalCord", .segmented, box: Bounds(of: found)), givenOut: found, drawn: drawn).scores()
        #expect(scores.map(\.extent) == [.whole, .contouredSlices])
        #expect(abs(scores[0].mask!.dice - 12.0 / 17) < 1e-12 && scores[1].mask!.dice == 1)
        #expect(abs(scores[0].box!.iou - 6.0 / 11) < 1e-12 && scores[1].box!.iou == 1)
        #expect(scores[1].mask!.hd95MM == 0)
    }

    @Test func whatIsWithheldIsJudgedByTheMaskThatWasMade() throws {
        let drawn = block([4, 4, 4], [9, 9, 9])
        let score = Comparison(outcome: outcome("Larynx", .withheld(reason: "why"), withheld: block([0, 0, 0], [3, 3, 3])), givenOut: nil, drawn: drawn).scores()[0]
        #expect(score.state == .withheld && score.reason == "why" && score.mask?.dice == 0 && score.box == nil)
        #expect(Comparison(outcome: outcome("Larynx", .notInFieldOfView, nil), givenOut: nil, drawn: drawn).scores()[0].mask == nil)
    }

    // MARK: - The table

    private func score(_ dice: Double?, _ state: JobReport.Structure.State, _ confidence: Double, seed: Int, _ name: String) -> CaseScore {
        let mask = dice.map { StructureScore.MaskScore(dice: $0, hd95MM: 10 * (1 - $0), surfaceDice: $0, box: .init(iou: $0, wallDistanceMM: 1)) }
        let structure = StructureScore(name: "Brainstem", extent: .whole, state: state, reason: nil, confidence: confidence, evidence: [:],
                                       box: .init(iou: 0.5, wallDistanceMM: 2), mask: mask, oneVoxelOut: 0.6, oneVoxelIn: 0.4)
        return CaseScore(basis: "", caseName: name, seed: seed, method: "a+b", seriesInstanceUID: "1.2", slices: 9, structures: [structure], notDrawn: [],
                         seconds: ["localising": 3, "segmenting": 5], peakMemoryMegabytes: 100, warnings: [])
    }

    private var report: EvaluationReport {
        EvaluationReport(
            draws: [.init(seed: 0, templateSet: "t 1", supports: ["s"], lacking: []), .init(seed: 1, templateSet: "t 1", supports: ["s"], lacking: [])], methods: ["a+b"], cases: ["p", "q", "r"],
            structures: ["Brainstem", "Larynx"],
            scores: [score(0.9, .segmented, 0.95, seed: 0, "p"), score(0.3, .withheld, 0.2, seed: 0, "q"), score(nil, .withheld, 0, seed: 0, "r"), score(0.8, .withheld, 0.4, seed: 1, "p")],
            failures: [.init(caseName: "<b>roken", seed: nil, method: nil, reason: "no CT & nothing")])
    }

    @Test func drawsCountAlikeHoweverManyCasesEachHas() throws {
        let row = try #require(report.rows.first)
        #expect(report.rows.count == 1 && row.draws.count == 2)
        #expect(abs(row.draws[0].made.dice! - 0.4) < 1e-12, "no mask counts as 0")
        #expect(abs(row.mean.made.dice! - 0.6) < 1e-12)
        #expect(row.mean.givenOut.dice == 0.9, "a draw that gives nothing out has no mean")
        #expect(row.mean.made.hd95MM! == (4 + 2) / 2)
        #expect(row.draws[0].withheld == 2 && row.draws[0].rightlyWithheld == 2 && row.draws[1].rightlyWithheld == 0)
    }

    @Test func confidenceIsHeldAgainstDiceInTenths() throws {
        let all = try #require(report.confidences.first { $0.structure == nil })
        #expect((all.poor, all.poorWithheld, all.good, all.goodWithheld) == (1, 1, 2, 1))
        #expect(all.bins.map(\.masks) == [0, 0, 1, 0, 1, 0, 0, 0, 0, 1] && all.bins[9].dice == 0.9)
    }

    @Test func thePageNeedsNoOtherFileAndTellsWhatFailed() throws {
        let html = EvaluationPage(report: report, pictures: [.init(caption: "worst", png: [1, 2, 3])]).html()
        #expect(!html.contains("http") && !html.contains("<script") && html.contains("data:image/png;base64,AQID"))
        #expect(html.contains("&lt;b&gt;roken") && html.contains("no CT &amp; nothing"))
        #expect(html.contains("<svg") && html.contains("&gt; 80"), "plots, and the bar of the brain stem")
        // The judge of markup: every element that is opened is closed.
        let folder = try Places.temporaryFolder()
        try html.replacing("<meta charset=\"utf-8\">", with: "").replacing("<!DOCTYPE html>", with: "").replacing(/(<img [^>]*)>/) { "\($0.1)/>" }
            .write(to: folder.appending(path: "page.xml"), atomically: true, encoding: .utf8)
        let result = try runTool("python3", ["-c", "import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1])", folder.appending(path: "page.xml").path])
        #expect(result.status == 0, "\(result.output)")
    }

    @Test func theReportReadsBackAsItWasWritten() throws {
        let text = NodeJSON.encode(report)
        #expect(try NodeJSON.encode(NodeJSON.decode(EvaluationReport.self, from: text)) == text)
        #expect(text.contains("\"format\":1"))
    }

    @Test func quartilesAreNumpys() throws {
        let values = [0.1, 0.4, 0.45, 0.7, 0.71, 0.9]
        let judge = try runTool(Places.python, ["-c", "import numpy as n; print(*n.percentile(\(values), [25, 50, 75]))"])
        let (low, median, high) = try #require(Plot.quartiles(values))
        #expect(zip([low, median, high], judge.output.split { $0.isWhitespace }.compactMap { Double($0) }).allSatisfy { abs($0 - $1) < 1e-12 }, "\(judge.output)")
    }

    // MARK: - Cases

    @Test func aSeedDrawsTheSameFoldersWhereverTheyLie() {
        let names = (0..<30).map { "pt_\($0)" }
        func drawn(_ folder: String, _ seed: Int, _ names: [String]) -> [String] {
            EvaluationPlan.drawn(names.map { URL(fileURLWithPath: "\(folder)/\($0)") }, seed: seed).map(\.lastPathComponent)
        }
        #expect(drawn("/a", 0, names) == drawn("/b/c", 0, names.reversed()))
        #expect(drawn("/a", 0, names) != drawn("/a", 1, names))
        #expect(Set(drawn("/a", 0, names)) == Set(names))
    }

    @Test func clinicalNamesAreMatchedByTableThenByTG263WhateverTheirCase() throws {
        var plan = EvaluationPlan(cases: [], supports: .installed("x"), methods: [], specifications: [], threads: 1, output: URL(fileURLWithPath: "/"))
        #expect(plan.name("PAROTID_l") == "Parotid_L" && plan.name("Heart") == "Heart")
        let table = try Places.temporaryFolder().appending(path: "names.csv").path
        try "from,name\nlt parotid,Parotid_L\n".write(toFile: table, atomically: true, encoding: .utf8)
        plan.names = try StructureTable.load(table)
        #expect(plan.name("Lt Parotid") == "Parotid_L" && plan.name("brainstem") == "Brainstem")
    }

    @Test func methodsAreNamedByTheirParts() {
        for localiser in LocaliserChoice.allCases {
            for segmenter in SegmenterChoice.allCases {
                let method = ContouringMethod(localiser: localiser, segmenter: segmenter)
                #expect(ContouringMethod(name: method.name) == method)
            }
        }
        #expect(ContouringMethod(name: "medlam") == nil && ContouringMethod(name: "medlam+nothing") == nil)
    }
}
