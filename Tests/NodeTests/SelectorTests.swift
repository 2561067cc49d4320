import DICOMCore
import DICOMImaging
import Foundation
import NodeConfiguration
import NodeStore
import NodeTesting
import Testing

@testable import Node

private let start = Date(timeIntervalSince1970: 1_800_000_000)
private let bestOfStudy = """
    completion: {idleSeconds: 5, gapSeconds: 20}
    selection:
      rules:
        - {name: scouts, when: {imageType: SCOUT}, contour: false}
        - {name: head, when: {bodyPart: HEAD}, templateSet: head-neck, best: {quietSeconds: 60, waitSeconds: 600, late: LATE}}
    """

/// Series of one study that arrive at a node whose rule contours only the best one.
private struct Study {
    var bench: Bench
    var store: Store

    init(late: String = "keep", _ settings: String = bestOfStudy) throws {
        bench = try Bench(settings.replacing("LATE", with: late))
        store = bench.store
    }

    /// A series arrives whole, over an association that ends where `ends`.
    func arrive(_ name: String, kernel: String = "B30f", thickness: Double = 5, slices: Range<Int> = 0..<12, bodyPart: String = "HEAD", ends: Bool = true, at now: Date) throws {
        let association = AssociationRecord(key: "\(name) \(slices)", callingAETitle: "CT", calledAETitle: "MEDLSAM", peer: "p")
        let phantom = Phantom(name: name, columns: 60, rows: 60, slices: 12)
        for k in slices {
            let slice = try phantom.slice(k)
            try slice.set(.studyInstanceUID, "1.2.3")
            try slice.set(.bodyPartExamined, bodyPart)
            try slice.set(.convolutionKernel, kernel)
            try slice.set(.sliceThickness, [thickness])
            let header = try SliceHeader(slice)
            let instance = ReceivedInstance(
                sopInstanceUID: header.sopInstanceUID.string, sopClassUID: header.sopClassUID.string, transferSyntaxUID: "1.2.840.10008.1.2.1",
                seriesInstanceUID: header.seriesInstanceUID.string, studyInstanceUID: "1.2.3", patientDigest: "p", digest: "d", size: 1,
                path: "instances/\(header.seriesInstanceUID)/\(k).dcm", header: Data(NodeJSON.encode(header).utf8), refusal: nil)
            _ = try store.record(instance, of: association, at: now)
        }
        if ends { try store.associationEnded(association.key, .released, at: now) }
    }

    /// Lets the node look; returns when it wants to look again, in seconds after the start.
    @discardableResult
    func look(at now: Date) throws -> TimeInterval? {
        let service = AssemblyService(store: store, configuration: bench.configuration, alarm: Alarm(), queued: {}, logger: bench.logger)
        return try service.completeSeries(at: now)?.timeIntervalSince(start)
    }

    /// A node that runs on while the wall clock is set; lets it look so many seconds after the start, at that time by the wall clock.
    func running() -> (_ seconds: Double, _ now: Date) throws -> TimeInterval? {
        let service = AssemblyService(store: store, configuration: bench.configuration, alarm: Alarm(), queued: {}, logger: bench.logger)
        let begun = ContinuousClock.now
        return { seconds, now in try service.completeSeries(at: now, steady: begun + .seconds(seconds))?.timeIntervalSince(now) }
    }

    /// The newest job of a series, with why it was selected or not.
    func job(_ name: String) throws -> (summary: JobSummary, selection: SelectionRecord)? {
        let uid = Phantom(name: name).seriesInstanceUID.string
        guard let summary = try store.jobs().first(where: { $0.seriesInstanceUID == uid }) else { return nil }
        return (summary, try NodeJSON.decode(SelectionRecord.self, from: try #require(try store.job(summary.id).selection)))
    }
}

@Suite struct SelectorTests {
    @Test func aSeriesThatNoRuleTakesIsShownWithTheReasonAndCannotBeRetried() throws {
        let study = try Study()
        try study.arrive("foot", bodyPart: "FOOT", at: start)
        try study.look(at: start + 10)
        let (job, selection) = try #require(try study.job("foot"))
        #expect(job.state == .refused && job.templateSet == nil && job.reason == selection.reason && selection.rule == nil)
        #expect(job.reason == "No selection rule matches; unmet: scouts (imageType); head (bodyPart).")
        #expect(throws: StoreError.self) { try study.store.retry(job: job.id, at: start) }
    }

    @Test func aRuleWithoutAContestMakesAJobAtOnce() throws {
        var study = try Study()
        study.bench.configuration.selection = .standard(templateSet: "head-neck")
        try study.arrive("head", at: start)
        try study.look(at: start + 6)
        let (job, selection) = try #require(try study.job("head"))
        #expect(job.state == .queued && job.templateSet == "head-neck")
        #expect(selection == SelectionRecord(rule: "axial-ct", templateSet: "head-neck", reason: "Rule axial-ct matches: template set head-neck."))
    }

    @Test func theBestOfAStudyIsChosenOnceItIsQuietThoughTheNodeWasStartedAnewMeanwhile() throws {
        var study = try Study()
        try study.arrive("bone", kernel: "B60s", thickness: 1, at: start)
        #expect(try study.look(at: start + 6) == 60, "quiet since the last arrival")
        try study.arrive("thick", at: start + 30)
        study.store = try Store(folder: study.bench.folder.root)
        try study.arrive("thin", thickness: 1.5, at: start + 40)
        #expect(try study.look(at: start + 46) == 100)
        #expect(try study.store.jobs().isEmpty)
        study.store = try Store(folder: study.bench.folder.root)
        #expect(try study.look(at: start + 100) == nil)
        let (thin, thick, bone) = (try #require(try study.job("thin")), try #require(try study.job("thick")), try #require(try study.job("bone")))
        #expect(thin.summary.state == .queued && thin.selection.reason == "Rule head matches: template set head-neck. It is the best of 3 series that the rule matches.")
        let winner = Phantom(name: "thin").seriesInstanceUID
        #expect(thick.summary.state == .refused && thick.summary.reason
            == "Rule head matches, but series \(winner) is chosen, which is better: thinnest (1.5 mm against 5 mm).")
        #expect(bone.summary.reason?.hasSuffix("softKernel (soft against not soft).") == true)
        // A person may want it all the same.
        try study.store.retry(job: bone.summary.id, at: start + 200)
        #expect(try study.job("bone")?.summary.state == .queued)
        #expect(try study.store.claimJob(alive: [], at: start + 200)?.paths.count == 12)
    }

    @Test func theNextBestIsContouredWhereTheBestTurnsOutToBeUnreadable() throws {
        let study = try Study()
        try study.arrive("thin", thickness: 1, at: start)
        try study.arrive("thick", at: start)
        try study.arrive("bone", kernel: "B60s", thickness: 1, at: start)
        try study.look(at: start + 6)
        try study.look(at: start + 60)
        func refuse(_ name: String, at time: Date) throws {
            let ticket = try #require(try study.store.claimJob(alive: [], at: time))
            #expect(ticket.seriesInstanceUID == Phantom(name: name).seriesInstanceUID.string)
            try study.store.finish(job: ticket.id, .refused(reason: "Its pixels are broken."), at: time)
        }
        try refuse("thin", at: start + 61)
        #expect(try study.look(at: start + 62) == nil)
        #expect(try study.job("thick")?.summary.state == .queued)
        try refuse("thick", at: start + 63)
        try study.look(at: start + 64)
        #expect(try study.job("bone")?.summary.state == .queued)
        try refuse("bone", at: start + 65)
        // None is tried twice, but by hand.
        #expect(try study.look(at: start + 66) == nil)
        #expect(try study.store.claimJob(alive: [], at: start + 67) == nil)
        #expect(try study.job("thin")?.summary.reason == "Its pixels are broken.")
        try study.store.retry(job: try #require(try study.job("thin")).summary.id, at: start + 70)
        #expect(try study.job("thin")?.summary.state == .queued)
    }

    @Test func aSeriesWithResultsStandsAgainWhereTheLateBetterOneIsUnreadable() throws {
        let study = try Study(late: "supersede")
        try study.arrive("thick", at: start)
        try study.look(at: start + 6)
        try study.look(at: start + 60)
        let first = try #require(try study.store.claimJob(alive: [], at: start + 61))
        try study.store.finish(job: first.id, .succeeded(results: [], deliveries: [], report: "{}"), at: start + 62)
        try study.arrive("thin", thickness: 1, at: start + 100)
        try study.look(at: start + 106)
        let late = try #require(try study.store.claimJob(alive: [], at: start + 107))
        try study.store.finish(job: late.id, .refused(reason: "Its pixels are broken."), at: start + 108)
        #expect(try study.look(at: start + 109) == nil)
        #expect(try study.store.claimJob(alive: [], at: start + 110) == nil, "thick is contoured already")
        #expect(try study.store.openContests().isEmpty)
    }

    @Test func theWaitIsBoundedThoughASiblingNeverEnds() throws {
        let study = try Study()
        try study.arrive("thick", at: start)
        try study.look(at: start + 6)
        try study.arrive("endless", thickness: 1, slices: 0..<6, ends: false, at: start + 10)
        #expect(try study.look(at: start + 100) == 606, "600 s after the first was complete")
        #expect(try study.look(at: start + 606) == nil)
        #expect(try study.job("thick")?.summary.state == .queued)
    }

    @Test(arguments: [-365.0, 365], ["quiet", "arriving"]) func aClockThatIsSetNeitherHoldsTheChoiceUpNorHastensIt(jump: Double, what: String) throws {
        let study = try Study(), look = study.running(), other = start + jump * 86400
        _ = try look(0, start)
        try study.arrive("thick", at: start + 1)
        if what == "arriving" { try study.arrive("endless", thickness: 1, slices: 0..<6, ends: false, at: start + 1) }
        #expect(try look(1, start + 1) == 5)
        let wait = what == "quiet" ? 55.0 : 600
        #expect(try look(6, start + 6) == wait, "quiet since the last arrival, or the longest wait")
        #expect(try look(16, other + 16) == wait - 10)
        #expect(try study.store.jobs().isEmpty)
        _ = try look(6 + wait, other + 6 + wait)
        #expect(try study.job("thick")?.summary.state == .queued)
    }

    @Test func aBetterOneThatComesLateLeavesTheChoiceAsItIs() throws {
        let study = try Study(late: "keep")
        try study.arrive("thick", at: start)
        try study.look(at: start + 6)
        try study.look(at: start + 60)
        try study.arrive("thin", thickness: 1, at: start + 100)
        #expect(try study.look(at: start + 106) == nil, "no more wait")
        let (job, selection) = try #require(try study.job("thin"))
        #expect(job.state == .refused && selection.rule == "head")
        #expect(job.reason == "Rule head matches, but series \(Phantom(name: "thick").seriesInstanceUID) was chosen before this better one was complete: thinnest (1 mm against 5 mm).")
        #expect(try study.job("thick")?.summary.state == .queued)
    }

    @Test func aBetterOneThatComesLateSupersedesWhereTheRuleSaysSo() throws {
        let study = try Study(late: "supersede")
        try study.arrive("thick", at: start)
        try study.look(at: start + 6)
        try study.look(at: start + 60)
        try study.arrive("thin", thickness: 1, at: start + 100)
        try study.arrive("worse", kernel: "B70f", at: start + 100)
        try study.look(at: start + 106)
        let (thin, thick) = (try #require(try study.job("thin")), try #require(try study.job("thick")))
        #expect(thin.summary.state == .queued && thin.summary.supersedes == thick.summary.id)
        #expect(thin.selection.reason.contains("It came late, and is better than series \(Phantom(name: "thick").seriesInstanceUID), chosen before"))
        #expect(thick.summary.state == .superseded && thick.summary.reason == "A better series of the study arrived.")
        #expect(try study.job("worse")?.summary.state == .refused)
        // The new choice stands against what is no better.
        try study.arrive("equal", thickness: 1, at: start + 200)
        try study.look(at: start + 206)
        #expect(try study.job("equal")?.summary.reason?.contains("which is as good, was chosen before") == true)
    }

    @Test func lateSlicesOfTheChosenSeriesMakeItsNextJob() throws {
        let study = try Study()
        try study.arrive("head", slices: 0..<8, at: start)
        try study.look(at: start + 6)
        try study.look(at: start + 60)
        let first = try #require(try study.job("head")).summary
        try study.arrive("head", slices: 8..<12, at: start + 100)
        try study.look(at: start + 106)
        let second = try #require(try study.job("head")).summary
        #expect(second.id != first.id && second.supersedes == first.id && second.state == .queued && second.instances == 12)
    }
}
