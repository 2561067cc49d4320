import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import Testing

@testable import Node

private let arrival = Date(timeIntervalSince1970: 1_800_000_000)
private let times = CompletionRule.Times(idle: 5, gap: 120, missing: 600)

@Suite struct CompletionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var open = 0
        var ending: AssociationEnding? = .released
        let quiet: Double
        var gap: String? = nil
        /// State of a step, and how many of the instances that it names are missing.
        var announced: (state: AnnouncementState, missing: Int)? = nil
        /// What the source has; -1 when it cannot tell, nil when it is not asked.
        var source: Int? = nil
        var waits: Double?? = nil
        var decision: CompletionEvidence.Decision? = nil
    }

    static let cases: [Case] = [
        Case(testDescription: "an open association is waited for however long it takes", open: 1, ending: nil, quiet: 9999, waits: .some(nil)),
        Case(testDescription: "a second open association too", open: 1, quiet: 9999, waits: .some(nil)),
        Case(testDescription: "released, but not quiet for long enough", quiet: 4, waits: 1),
        Case(testDescription: "released, quiet, no gap", quiet: 5, decision: .gapFree),
        Case(testDescription: "a gap waits longer", quiet: 5, gap: "a slice is missing", waits: 115),
        Case(testDescription: "a gap that stays is handed on", quiet: 120, gap: "a slice is missing", decision: .waitedForGap),
        Case(testDescription: "a broken association waits longer, for the peer will try again", ending: .aborted, quiet: 5, waits: 115),
        Case(testDescription: "an association lost with the node too", ending: .lost, quiet: 119, waits: 1),
        Case(testDescription: "but not for ever", ending: .lost, quiet: 120, decision: .waitedForGap),
        Case(testDescription: "all that a completed step names is here", quiet: 0, gap: "a slice is missing", announced: (.completed, 0), decision: .announced),
        Case(testDescription: "a discontinued step ends too", ending: .aborted, quiet: 0, announced: (.discontinued, 0), decision: .announced),
        Case(testDescription: "a step in progress may name more", quiet: 0, announced: (.inProgress, 0), waits: 5),
        Case(testDescription: "but holds up nothing by itself", quiet: 5, announced: (.inProgress, 0), decision: .gapFree),
        Case(testDescription: "announced instances that are missing are waited for", quiet: 120, announced: (.completed, 3), waits: 480),
        Case(testDescription: "but not for ever either", quiet: 600, announced: (.completed, 3), decision: .waitedForMissing),
        Case(testDescription: "announced ones do not matter while some are on their way", open: 1, quiet: 0, announced: (.completed, 0), waits: .some(nil)),
        Case(testDescription: "the source has no more, gap or no gap", ending: .aborted, quiet: 5, gap: "a slice is missing", source: 100, decision: .counted),
        Case(testDescription: "the source has more", quiet: 120, source: 101, waits: 480),
        Case(testDescription: "and has not sent it", quiet: 600, source: 101, decision: .waitedForMissing),
        Case(testDescription: "the source cannot tell", quiet: 5, source: -1, decision: .gapFree),
        Case(testDescription: "the source has no more, but more was announced", quiet: 5, announced: (.completed, 1), source: 100, waits: 595),
    ]

    private func decide(_ example: Case) -> CompletionRule.Decision {
        let series = SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: example.open, lastEnd: arrival, lastEnding: example.ending)
        let announced = example.announced.map {
            AnnouncedSeries(
                announcements: [.init(kind: .performedProcedureStep, sopInstanceUID: "1.9", source: "CT1", state: $0.state)],
                instances: 100 + $0.missing, missing: $0.missing)
        }
        return CompletionRule(times: times).decide(series, quiet: example.quiet, stack: { (100, example.gap) }, announced: { announced }) {
            guard let count = example.source else { return SourceInquiries.State.none }
            var source = CompletionEvidence.Source(aeTitle: "CT1")
            if count < 0 { source.failure = "no answer" } else { (source.instances, source.level) = (count, .series) }
            return .answered(source)
        }
    }

    @Test(arguments: cases) func aSeriesIsCompleteByEvidence(_ example: Case) throws {
        switch decide(example) {
        case .wait(let seconds):
            #expect(example.decision == nil)
            #expect(seconds == example.waits ?? -1)
        case .complete(let evidence):
            #expect(evidence.decision == example.decision)
            #expect(evidence.gap == example.gap && evidence.instances == 100)
            #expect((evidence.announced?.missing == example.announced?.missing) && (evidence.source != nil) == (example.source != nil))
            #expect(try CompletionEvidence(json: NodeJSON.encode(evidence)) == evidence)
        }
    }

    @Test func theEvidenceSaysAllInWords() throws {
        guard case .complete(let evidence) = decide(Self.cases.first { $0.testDescription == "and has not sent it" }!) else { Issue.record(); return }
        #expect(evidence.sentence == """
            waited for what the source says exists: 100 instances, quiet for 600.0 s; last association released; no gap between the slices; \
            CT1 has 101 (C-FIND, SERIES level)
            """)
    }

    @Test func jobsOfOlderVersionsStillShowTheirEvidence() throws {
        let old = #"{"instances":5,"lastArrival":"2026-01-02T03:04:05Z","lastAssociation":"released","quietSeconds":5.2}"#
        #expect(try CompletionEvidence(json: old).sentence == "5 instances, quiet for 5.2 s; last association released; no gap between the slices")
    }

    @Test func aSourceThatHasNotAnsweredIsWaitedFor() {
        let series = SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: 0, lastEnd: arrival, lastEnding: .released)
        let decision = CompletionRule(times: times).decide(series, quiet: 5, stack: { (100, nil) }, announced: { nil }, source: { .pending })
        #expect(decision == .wait(seconds: nil))
    }

    @Test func headersAreReadAndSourcesAskedOnlyWhenTheyDecide() {
        let series = SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: 0, lastEnd: arrival, lastEnding: .released)
        let decision = CompletionRule(times: times).decide(
            series, quiet: 1,
            stack: {
                Issue.record("read")
                return (0, nil)
            }, announced: { nil },
            source: {
                Issue.record("asked")
                return SourceInquiries.State.none
            })
        #expect(decision == .wait(seconds: 4))
    }
}

@Suite struct StackMemoryTests {
    private let memory = StackMemory()

    private func series(_ id: Int64 = 1, arrival: Date = arrival) -> SeriesInProgress {
        SeriesInProgress(id: id, seriesInstanceUID: "1.\(id)", lastArrival: arrival, openAssociations: 0, lastEnd: arrival, lastEnding: .released)
    }

    /// What is said of a series whose headers, were they read now, would be so many.
    private func instances(_ series: SeriesInProgress, reading count: Int) -> Int { memory.stack(of: series) { (count, nil) }.instances }

    @Test func headersAreReadAgainOnlyWhenASeriesHasStirred() {
        #expect(instances(series(), reading: 3) == 3)
        #expect(instances(series(), reading: 4) == 3)
        #expect(instances(series(2), reading: 5) == 5, "another series is another")
        #expect(instances(series(arrival: arrival + 1), reading: 4) == 4)
        #expect(instances(series(arrival: arrival - 3600), reading: 6) == 6, "an arrival after the clock was set back is one")
    }

    @Test func whatIsForgottenOrCouldNotBeReadIsReadAgain() {
        #expect(!memory.forget(series()))
        #expect(throws: POSIXError.self) { try memory.stack(of: series()) { throw POSIXError(.EIO) } }
        #expect(instances(series(), reading: 3) == 3)
        #expect(memory.forget(series()) && !memory.forget(series()))
        #expect(instances(series(), reading: 4) == 4)
        #expect(instances(series(2), reading: 5) == 5)
        memory.keep([2])
        #expect(instances(series(), reading: 6) == 6 && instances(series(2), reading: 7) == 5)
    }

    @Test func aSeriesIsNotClosedByWhatIsRemembered() throws {
        let bench = try Bench("completion: {idleSeconds: 5, gapSeconds: 60}"), begun = ContinuousClock.now, now = Date()
        let service = AssemblyService(store: bench.store, configuration: bench.configuration, alarm: Alarm(), queued: {}, logger: bench.logger)
        try bench.receive(1...2, from: "CT", at: now)
        try bench.receive(4...5, from: "CT", at: now)
        _ = try service.completeSeries(at: now, steady: begun)
        _ = try service.completeSeries(at: now + 10, steady: begun + .seconds(10))
        // It waits for the third; meanwhile another is lost, which does not count as stirring.
        try bench.store.lose(#require(bench.store.instances(withSOPInstanceUID: "1.1.5").first))
        _ = try service.completeSeries(at: now + 61, steady: begun + .seconds(61))
        let job = try #require(try bench.store.jobs().first).id
        #expect(try CompletionEvidence(json: #require(bench.store.job(job).evidence)).instances == 3)
    }
}

@Suite struct QuietTimesTests {
    private func series(arrival: Date, end: Date? = nil, open: Int = 0) -> SeriesInProgress {
        SeriesInProgress(
            id: 1, seriesInstanceUID: "1.2", lastArrival: arrival, openAssociations: open, lastEnd: end, lastEnding: end == nil ? nil : .released)
    }

    @Test(arguments: [-86_400.0, 86_400]) func aClockThatIsSetInTheMiddleOfASeriesChangesNothing(_ jump: Double) {
        let quiet = QuietTimes(), start = ContinuousClock.now
        let first = series(arrival: arrival, open: 1)
        #expect(quiet.seconds(first, at: start, wallNow: arrival) == 0)
        // The clock jumps, another slice comes a second later, the association ends, and it is quiet for four seconds.
        let second = series(arrival: arrival + jump + 1, open: 1)
        #expect(quiet.seconds(second, at: start + .seconds(1), wallNow: arrival + jump + 1) == 0)
        let ended = series(arrival: arrival + jump + 1, end: arrival + jump + 1)
        #expect(quiet.seconds(ended, at: start + .seconds(1), wallNow: arrival + jump + 1) == 0)
        #expect(quiet.seconds(ended, at: start + .seconds(5), wallNow: arrival + jump + 5) == 4)
        // It jumps back in the quiet.
        #expect(quiet.seconds(ended, at: start + .seconds(6), wallNow: arrival) == 5)
    }

    /// Found by Tests/Faults/clocks.py: a year's jump between the last slice and the first look at its series closed it.
    @Test func aSeriesThatIsNewAtALaterLookHasStirredSinceTheLookBefore() {
        let quiet = QuietTimes()
        quiet.keep([]) // the run's first look
        #expect(quiet.seconds(series(arrival: arrival, end: arrival), at: .now, wallNow: arrival + 365 * 86_400) == 0)
    }

    @Test func overARestartTheWallClockCountsAndTheFutureDoesNot() {
        let start = ContinuousClock.now
        #expect(QuietTimes().seconds(series(arrival: arrival, end: arrival + 10), at: start, wallNow: arrival + 40) == 30)
        let back = QuietTimes()
        #expect(back.seconds(series(arrival: arrival, end: arrival + 10), at: start, wallNow: arrival - 3600) == 0)
        #expect(back.seconds(series(arrival: arrival, end: arrival + 10), at: start + .seconds(5), wallNow: arrival - 3595) == 5)
    }
}
