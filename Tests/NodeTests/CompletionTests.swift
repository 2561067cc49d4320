import Foundation
import NodeStore
import Testing

@testable import Node

private let arrival = Date(timeIntervalSince1970: 1_800_000_000)

@Suite struct CompletionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var open = 0
        var ending: AssociationEnding? = .released
        /// Seconds after the last arrival.
        var ended = 1.0
        var now: Double
        var gap: String? = nil
        /// When to look again; nil for complete.
        let waits: Double??
    }

    static let cases: [Case] = [
        Case(testDescription: "an open association is waited for however long it takes", open: 1, ending: nil, now: 9999, waits: .some(nil)),
        Case(testDescription: "a second open association too", open: 1, now: 9999, waits: .some(nil)),
        Case(testDescription: "released, but not quiet for long enough", now: 5.9, waits: 6),
        Case(testDescription: "released, quiet, no gap", now: 6, waits: nil),
        Case(testDescription: "an arrival after the last end counts as noise", ended: -10, now: 4, waits: 5),
        Case(testDescription: "a gap waits longer", now: 6, gap: "a slice is missing", waits: 121),
        Case(testDescription: "a gap that stays is handed on", now: 121, gap: "a slice is missing", waits: nil),
        Case(testDescription: "a broken association waits longer, for the peer will try again", ending: .aborted, now: 6, waits: 121),
        Case(testDescription: "an association lost with the node too", ending: .lost, now: 120, waits: 121),
        Case(testDescription: "but not for ever", ending: .lost, now: 121, waits: nil),
    ]

    @Test(arguments: cases) func aSeriesIsCompleteByEvidence(_ example: Case) {
        let rule = CompletionRule(idleSeconds: 5, gapSeconds: 120)
        let series = SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: example.open,
            lastEnd: example.ending == nil ? nil : arrival + example.ended, lastEnding: example.ending)
        let decision = rule.decide(series, at: arrival + example.now) { (100, example.gap) }
        switch (decision, example.waits) {
        case (.wait(let until), .some(let expected)): #expect(until == expected.map { arrival + $0 })
        case (.complete(let evidence), .none): #expect(evidence.gap == example.gap && evidence.instances == 100)
        default: Issue.record("\(decision)")
        }
    }

    @Test func headersAreReadOnlyWhenTheyDecide() {
        let rule = CompletionRule(idleSeconds: 5, gapSeconds: 120)
        let series = SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: 0, lastEnd: arrival, lastEnding: .released)
        _ = rule.decide(series, at: arrival + 1) {
            Issue.record("read")
            return (0, nil)
        }
    }
}
