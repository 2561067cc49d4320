import DICOMCore
import DICOMImaging
import Foundation
import NodeConfiguration
import NodeTesting
import Testing

@testable import Node

/// The headers of a made-up series; `change` makes each slice what a test needs.
private func headers(_ phantom: Phantom = Phantom(columns: 60, rows: 60, slices: 12), change: (DataSet, Int) throws -> Void = { _, _ in }) throws -> [SliceHeader] {
    try (0..<phantom.geometry.size.z).map { k in
        let slice = try phantom.slice(k)
        try slice.set(.convolutionKernel, "B30f")
        try change(slice, k)
        return try SliceHeader(slice)
    }
}

private func rules(_ rules: String) throws -> Configuration.Selection {
    try Bench("selection:\n  rules:\n" + rules.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")).configuration.selection
}

@Suite struct SelectionTests {
    @Test func headersSayWhatRulesAskFor() throws {
        let facts = SeriesFacts(try headers { slice, k in
            try slice.set(.sliceThickness, [k < 6 ? 5.0 : 4.5])
            let region = try slice.addItem(.anatomicRegionSequence)
            try region.set(.codeValue, "69536005")
            try region.set(.codeMeaning, "Head")
        })
        #expect(facts.numbers[.slices] == 12...12 && facts.numbers[.sliceThicknessMM] == 4.5...5)
        #expect(facts.numbers[.pixelSpacingMM] == 3...3 && facts.numbers[.fieldOfViewMM] == 180...180)
        #expect(facts.numbers[.lengthMM].map { abs($0.lowerBound - 55) < 1e-9 } == true)
        #expect(facts.texts[.bodyPart] == [["HEAD", "69536005", "Head"]] && facts.texts[.convolutionKernel] == [["B30f"]])
        #expect(facts.imageTypes == [["ORIGINAL", "PRIMARY", "AXIAL"]])
    }

    @Test func theUsualRuleTakesAxialCTAndNothingElse() throws {
        let selection = Configuration.Selection.standard(templateSet: "head-neck")
        func reason(_ headers: [SliceHeader]) -> String { selection.decide(headers).record.reason }
        #expect(reason(try headers()) == "Rule axial-ct matches: template set head-neck.")
        #expect(reason(try headers { slice, _ in try slice.set(.imageType, ["DERIVED", "SECONDARY", "MPR"]) })
            == "No selection rule matches; unmet: axial-ct (imageType).")
        #expect(reason(try headers(Phantom(columns: 60, rows: 60, slices: 4))).contains("slices 4"))
        #expect(reason(try headers(Phantom(columns: 30, rows: 30, slices: 12))).contains("fieldOfViewMM 90"))
        // Bolus tracking: many images of one place.
        #expect(reason(try headers { slice, _ in try slice.set(.imagePositionPatient, [0.0, 0, 0]) }).contains("slices 1)"))
    }

    @Test func theFirstRuleThatMatchesWins() throws {
        let selection = try rules("""
            - {name: scouts, when: {imageType: SCOUT}, contour: false}
            - {name: bone, when: {convolutionKernel: "^B[5-9]"}, contour: false}
            - {name: neck, when: {bodyPart: NECK, seriesDescription: "hals|neck"}, templateSet: head-neck}
            - {name: head, when: {bodyPart: "69536005|^head$"}, templateSet: head}
            """)
        func decide(_ change: (DataSet, Int) throws -> Void) throws -> SelectionRecord { selection.decide(try headers(change: change)).record }
        #expect(try decide { _, _ in }.rule == "head")
        #expect(try decide { slice, _ in
            try slice.set(.bodyPartExamined, "HEADNECK")
            try slice.set(.seriesDescription, "Hals 2.0")
        }.templateSet == "head-neck")
        let bone = try decide { slice, _ in try slice.set(.convolutionKernel, "B60s") }
        #expect(bone.rule == "bone" && bone.templateSet == nil && bone.reason == "Rule bone matches: not to be contoured.")
        // A condition holds of the whole series or not at all, and of what is not stated it never holds.
        #expect(try decide { slice, k in if k == 3 { try slice.set(.bodyPartExamined, "CHEST") } }.rule == nil)
        #expect(try decide { slice, _ in slice.remove(.bodyPartExamined) }.rule == nil)
    }

    @Test func ofStacksInOneSeriesTheRuleTakesOneThatItMatchesAndOfEqualsTheSoftOne() throws {
        let bone = try headers { slice, k in
            try slice.set(.sopInstanceUID, "1.2.\(k)")
            try slice.set(.convolutionKernel, "A70f")
        }
        let both = bone + (try headers())
        var decision = Configuration.Selection.standard(templateSet: "t").decide(both)
        #expect(decision.stacks.count == 2 && decision.stack.facts.texts[.convolutionKernel] == [["B30f"]])
        #expect(decision.instances == (0..<12).map { Phantom().sopInstanceUID($0).string }.sorted())
        #expect(decision.record.reason.hasSuffix("Of 2 stacks in the series, this is the one of 12 slices."))
        decision = try rules("- {name: bone, when: {convolutionKernel: A}}").decide(both)
        #expect(decision.record.rule == "bone" && decision.instances == bone.map(\.sopInstanceUID.string).sorted())
        // A rule that leaves one stack out leaves the others to later rules.
        decision = try rules("- {name: no bone, when: {convolutionKernel: A}, contour: false}\n- {name: rest}").decide(both)
        #expect(decision.record.rule == "rest" && decision.stack.facts.texts[.convolutionKernel] == [["B30f"]])
        decision = try rules("- {name: no bone, when: {convolutionKernel: A}, contour: false}").decide(both)
        #expect(decision.record.rule == "no bone" && decision.record.templateSet == nil)
        #expect(try rules("- {name: rest}").decide(try headers()).instances == nil, "all of the series")
    }

    @Test func aReasonHoldsNoTextOfTheHeaders() throws {
        let selection = try rules("- {name: neck, when: {seriesDescription: neck, studyDescription: neck, protocolName: neck, slices: {from: 20}}}")
        let record = selection.decide(try headers { slice, _ in
            for tag in [DICOMCore.Tag.seriesDescription, .studyDescription, .protocolName] { try slice.set(tag, "DOE JANE") }
        }).record
        #expect(record.reason == "No selection rule matches; unmet: neck (seriesDescription, studyDescription, protocolName, slices 12).")
    }

    @Test func headersRecordedBeforeThereWereRulesAreStillRead() throws {
        let old = NodeJSON.encode(try headers()).replacing(/"(attributes|distinctions)":\{[^}]*\},/, with: "")
            .replacing(/,"sliceThicknessMM":[0-9.]+/, with: "")
        let read = try NodeJSON.decode([SliceHeader].self, from: old)
        #expect(read.count == 12 && read.allSatisfy { $0.attributes == nil })
        let facts = SeriesFacts(read)
        #expect(facts.numbers[.slices] == 12...12 && facts.numbers[.sliceThicknessMM] == nil && facts.texts[.bodyPart] == [[]])
    }

    @Test func anEnhancedObjectStatesItsAttributesInFunctionalGroups() throws {
        let slice = try Phantom(columns: 4, rows: 4, slices: 6).slice(0)
        slice.remove(.bodyPartExamined)
        let shared = try slice.addItem(.sharedFunctionalGroupsSequence), frame = try slice.addItem(.perFrameFunctionalGroupsSequence)
        let region = try shared.addItem(.frameAnatomySequence).addItem(.anatomicRegionSequence)
        try region.set(.codeValue, "45048000")
        try region.set(.codeMeaning, "Neck")
        try frame.addItem(.ctReconstructionSequence).set(.convolutionKernel, "Br40")
        let attributes = try #require(try SliceHeader(slice).attributes)
        #expect(attributes.bodyParts == ["45048000", "Neck"] && attributes.convolutionKernel == ["Br40"])
    }
}

@Suite struct ContestTests {
    private func candidate(kernel: String = "B30f", thickness: Double = 5, slices: Int = 12, gap: String? = nil, prefer: String = "[softKernel, thinnest, mostSlices]") throws -> Candidate {
        let selection = try rules("- {name: r, best: {prefer: \(prefer)}}"), rule = selection.rules[0]
        let decision = selection.decide(try headers(Phantom(columns: 60, rows: 60, slices: slices)) { slice, _ in
            try slice.set(.convolutionKernel, kernel)
            try slice.set(.sliceThickness, [thickness])
        })
        return Candidate(decision, rule: rule, best: rule.best!, gap: gap)
    }

    @Test func theFirstDifferenceDecides() throws {
        let (soft, bone, thin, long) = (try candidate(), try candidate(kernel: "B60s", thickness: 1), try candidate(thickness: 1.5), try candidate(slices: 14))
        #expect(soft.advantage(over: bone) == "softKernel (soft against not soft)" && bone.advantage(over: soft) == nil)
        #expect(thin.advantage(over: soft) == "thinnest (1.5 mm against 5 mm)")
        #expect(long.advantage(over: soft) == "mostSlices (14 against 12)")
        #expect(best(of: [soft, bone, thin, long]) == 2)
        #expect(best(of: [soft, try candidate()]) == 0, "of equals the first")
        #expect(best(of: []) == nil)
    }

    @Test func aSeriesWithMissingSlicesIsWorseThanAnyOther() throws {
        #expect(best(of: [try candidate(thickness: 1, gap: "a slice is missing"), try candidate(kernel: "B60s")]) == 1)
    }

    @Test func preferencesCanBeTurnedRound() throws {
        let prefer = "[thickest, smallestFieldOfView]"
        #expect(best(of: [try candidate(thickness: 1, prefer: prefer), try candidate(thickness: 3, prefer: prefer)]) == 1)
    }

    @Test func aCandidateSurvivesBeingWrittenDown() throws {
        let one = try candidate()
        #expect(try NodeJSON.decode(Candidate.self, from: NodeJSON.encode(one)) == one)
    }
}
