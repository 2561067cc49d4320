import Foundation
import Testing

@testable import NodeConfiguration

private let least = """
    aeTitle: MEDLSAM
    dataDirectory: data
    models: {manifests: m, installed: i, runtime: /r, templates: t}
    contouring: {templateSet: usual}

    """

private func parse(_ rules: String) throws(ConfigurationErrors) -> Configuration.Selection {
    try Configuration.parse(least + "selection:\n  rules:\n" + rules, folder: URL(fileURLWithPath: "/")).selection
}

@Suite struct SelectionRulesTests {
    @Test func aRuleHoldsEverythingThatTheFileSays() throws {
        let selection = try parse("""
                - name: scouts
                  when: {imageType: LOCALIZER}
                  contour: false
                - name: head
                  when:
                    modality: CT
                    bodyPart: HEAD|NECK
                    convolutionKernel: ^B[1-4]
                    imageType: [ORIGINAL, AXIAL]
                    sliceThicknessMM: {from: 0.5, to: 3}
                    slices: {from: 20}
                  templateSet: head-neck
                  best: {of: acquisition, prefer: [thinnest], quietSeconds: 5, waitSeconds: 60, late: supersede}
                - name: rest
            """)
        #expect(selection.rules.map(\.name) == ["scouts", "head", "rest"])
        #expect(selection.rules.map(\.templateSet) == [nil, "head-neck", "usual"])
        let head = selection.rules[1]
        #expect(head.when.texts.mapValues(\.source) == [.modality: "CT", .bodyPart: "HEAD|NECK", .convolutionKernel: "^B[1-4]"])
        #expect(head.when.imageType.map(\.source) == ["ORIGINAL", "AXIAL"] && selection.rules[0].when.imageType.map(\.source) == ["LOCALIZER"])
        #expect(head.when.numbers == [.sliceThicknessMM: 0.5...3, .slices: 20...Double.infinity])
        let best = try #require(head.best)
        #expect(best.of == .acquisition && best.prefer == [.thinnest] && best.late == .supersede && best.quietSeconds == 5 && best.waitSeconds == 60)
        #expect(selection.rules[2].when.isEmpty && selection.rules[2].best == nil)
    }

    @Test func withoutRulesTheUsualOnesUseTheUsualTemplateSet() throws {
        let selection = try Configuration.parse(least, folder: URL(fileURLWithPath: "/")).selection
        #expect(selection == .standard(templateSet: "usual") && selection.rules.count == 1)
        #expect(try Configuration.parse(least + "selection: {rules: []}", folder: URL(fileURLWithPath: "/")).selection.rules.isEmpty)
    }

    @Test func allErrorsAreReportedTogetherEachWithPathAndLine() {
        let error = #expect(throws: ConfigurationErrors.self) {
            try parse("""
                    - name: a
                      when:
                        seriesDescription: "(neck"
                        imageType: [ORIGINAL, "[", AXIAL]
                        slices: {from: 20, to: 10}
                        sliceThickness: {to: 3}
                        bodyPart: (?=HEAD)
                      best: {of: patient, prefer: [thinnest, prettiest], waitSeconds: 10}
                    - name: a
                      contour: maybe
                    - name: b
                      contour: false
                      templateSet: x
                """)
        }
        let found = error?.errors.map(\.description) ?? []
        for expected in [
            "selection.rules[0].when.seriesDescription: is no regular expression: missing ): (neck (line 9)",
            "selection.rules[0].when.imageType[1]: is no regular expression: missing ]: [ (line 10)",
            "selection.rules[0].when.slices.to: must not be smaller than from (line 11)",
            "selection.rules[0].when.sliceThickness: is not a setting; did you mean sliceThicknessMM? (line 12)",
            "selection.rules[0].when.bodyPart: is no regular expression: invalid perl operator: (?= (line 13)",
            "selection.rules[0].best.of: patient is none of study, acquisition (line 14)",
            "selection.rules[0].best.prefer[1]: prettiest is none of softKernel, thinnest, thickest, largestFieldOfView, smallestFieldOfView, mostSlices (line 14)",
            "selection.rules[0].best.waitSeconds: must not be shorter than quietSeconds (line 14)",
            "selection.rules[1].name: a is the name of an earlier rule (line 15)",
            "selection.rules[1].contour: maybe is neither true nor false (line 16)",
            "selection.rules[2].name: b is never reached: a before it matches every series (line 17)",
            "selection.rules[2].templateSet: has no meaning where contour is false (line 19)",
        ] { #expect(found.contains(expected), "\(expected) not in \(found.joined(separator: "\n"))") }
    }

    @Test func theNamesOfSoftKernelsAreTheMakers() throws {
        let soft = try TextPattern(Configuration.Selection.Best.softKernelNames)
        for kernel in ["STANDARD", "STD+", "SOFT", "B30f", "B31s", "Br40d", "Hr38", "I31f", "J40s", "A", "B", "UB", "FC08", "FC13", "FC21"] {
            #expect(soft.matches(kernel), "\(kernel)")
        }
        for kernel in ["LUNG", "BONE", "BONEPLUS", "EDGE", "DETAIL", "B60f", "B70s", "Br64d", "H70h", "Hr68", "YA", "YB", "D", "FC30", "FC51", "FC81", ""] {
            #expect(!soft.matches(kernel), "\(kernel)")
        }
    }

    // MARK: Hostile patterns

    /// Each takes a backtracking matcher time exponential in the text.
    @Test(arguments: ["^(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){12}$", "(x+x+)+y"])
    func aPatternThatWouldBacktrackForEverIsMatchedInTimeLinearInTheText(source: String) throws {
        let pattern = try TextPattern(source)
        let hostile = String(repeating: "a", count: 100_000) + "!" + String(repeating: "x", count: 100_000) + "\u{1F600}"
        // A matcher that backtracks would never come to the end of this.
        _ = pattern.matches(hostile)
        #expect(try !TextPattern("^(a+)+$").matches(hostile))
    }

    @Test(arguments: ["((a{1,100}){1,100}){1,100}", "a{100000}", "(?<=a)b", "(a)\\1", "(?!a)", "[", "*", "a**(", "\\",
                      String(repeating: "(", count: 400), String(repeating: "a?", count: 600)])
    func whatIsNoPatternOrTooLargeIsRefusedAtTheStart(source: String) {
        #expect(throws: TextPattern.Fault.self) { try TextPattern(source) }
    }

    @Test func patternsMatchAnywhereInEitherCaseAndInAnyScript() throws {
        #expect(try TextPattern("hals").matches("Kopf/HALS nativ"))
        #expect(try TextPattern("schädel").matches("SCHÄDEL 2.0"))
        #expect(try TextPattern("頭部").matches("CT 頭部 単純"))
        #expect(try !TextPattern("^head$").matches("HEADNECK"))
        #expect(try TextPattern("").matches(""))
    }
}
