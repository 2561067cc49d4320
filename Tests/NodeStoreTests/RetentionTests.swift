import Foundation
import NodeTesting
import Testing

@testable import NodeStore

@Suite struct RetentionTests {
    private let bench: Bench
    private let rule = RetentionRule([.delivered: 7 * 86400, .notContoured: 1 * 86400])
    private func days(_ days: Double) -> Date { start + days * 86400 }
    init() throws { bench = try Bench() }

    /// What a node does that looks after so many days of service.
    private func delete(by rule: RetentionRule? = nil, after days: Double) throws -> Deletion? {
        try bench.store.noteUnneeded(at: days * 86400)
        return try bench.store.delete(by: rule ?? self.rule, at: days * 86400, now: self.days(days))
    }

    /// That it stays, looked at early and late.
    private func stays(_ rule: RetentionRule? = nil, _ why: Comment? = nil) throws {
        #expect(try delete(by: rule, after: 0) == nil, why)
        #expect(try delete(by: rule, after: 999) == nil, why)
    }

    /// A job that ended so, of one instance, with the association that brought it over.
    private func job(_ outcome: JobOutcome) throws -> Int64 {
        let ticket = try bench.runningJob()
        try bench.store.associationEnded("a", .released, at: start)
        try bench.store.finish(job: ticket.id, outcome, at: start)
        return ticket.id
    }

    private func delivered(to destinations: [String] = ["a"]) throws {
        _ = try job(.succeeded(results: objects, deliveries: every(objects, to: destinations), report: "{}"))
    }

    private func send(_ destination: String = "a", at now: Date = start) throws {
        for delivery in try bench.store.pendingDeliveries(to: destination) { try bench.store.record(delivery: delivery.id, .sent(status: 0, note: nil), at: now) }
    }

    @Test func whatEveryDestinationTookGoesWhenItIsOldEnough() throws {
        try delivered()
        #expect(try delete(after: 0) == nil)
        try send(at: days(3))
        #expect(try delete(after: 3) == nil)
        #expect(try delete(after: 9.9) == nil)
        let deletion = try #require(try delete(after: 10.1))
        #expect(deletion.files == [bench.instance().path] && deletion.folders == ["results/1", "rejected/1"])
        #expect(deletion.reason == "Its results were delivered 7 days ago or earlier.")
        let row = try #require(try bench.store.instances(withSOPInstanceUID: "1.1").first)
        #expect(row.state == .missing && row.deleted == days(10.1) && row.deletion == deletion.reason)
        #expect(try delete(after: 99) == nil)
    }

    @Test func whatOneDestinationLacksStays() throws {
        try delivered(to: ["a", "b"])
        try send("a")
        try stays()
        let last = try #require(try bench.store.pendingDeliveries(to: "b").first)
        try bench.store.record(delivery: last.id, .failed(status: nil, reason: "Given up."), at: start)
        try send("b")
        try stays(nil, "given up is not taken")
    }

    @Test func resultsMadeForNoDestinationStay() throws {
        try delivered(to: [])
        try stays()
    }

    @Test func whatMakesNoResultGoesByItsOwnAge() throws {
        _ = try job(.withheld(reason: "Nothing found.", report: "{}"))
        try stays(RetentionRule([.delivered: 0]))
        #expect(try delete(after: 0.9) == nil)
        #expect(try delete(after: 1.1)?.files == [bench.instance().path])
    }

    @Test func whatIsIgnoredGoesToo() throws {
        try bench.record(bench.instance(refusal: "Not CT."))
        try stays(nil, "its association is open")
        try bench.store.associationEnded("a", .released, at: start)
        #expect(try delete(after: 1000) == nil)
        #expect(try delete(after: 1001) != nil)
    }

    @Test func whatArrivesWaitsRunsOrFailedStays() throws {
        try bench.record(bench.instance())
        try bench.store.associationEnded("a", .released, at: start)
        try stays(nil, "receiving")
        try bench.complete()
        try stays(nil, "queued")
        let ticket = try #require(try bench.store.claimJob(alive: [], at: start))
        try stays(nil, "running")
        try bench.store.finish(job: ticket.id, .failed(reason: "No weights."), at: start)
        try stays(nil, "failed: a person may retry it")
    }

    @Test func whatFailedGoesWhereThatIsWantedUnlessAPersonRetriesIt() throws {
        let rule = RetentionRule([.failed: 30 * 86400])
        let id = try job(.failed(reason: "No weights."))
        #expect(try delete(by: rule, after: 0) == nil)
        #expect(try delete(by: rule, after: 29) == nil)
        try bench.store.retry(job: id, at: days(29))
        #expect(try delete(by: rule, after: 31) == nil, "queued")
        let ticket = try #require(try bench.store.claimJob(alive: [], at: days(31)))
        try bench.store.finish(job: ticket.id, .failed(reason: "No weights."), at: days(31))
        #expect(try delete(by: rule, after: 31) == nil, "it counts from the last attempt")
        #expect(try delete(by: rule, after: 61.1)?.reason == "Its job failed 30 days ago or earlier.")
        #expect { try bench.store.retry(job: id, at: days(62)) } throws: { "\($0)".contains("deleted") }
    }

    @Test func aFailedSeriesWhoseEarlierResultIsUndeliveredStays() throws {
        try delivered()
        try bench.record(bench.instance("1.2"), "b")
        try bench.store.associationEnded("b", .released, at: start)
        try bench.complete()
        let ticket = try #require(try bench.store.claimJob(alive: [], at: start))
        try bench.store.finish(job: ticket.id, .failed(reason: "No weights."), at: start)
        try stays(RetentionRule([.failed: 86400]))
        try send()
        #expect(try delete(by: RetentionRule([.failed: 86400]), after: 999) == nil)
        #expect(try delete(by: RetentionRule([.failed: 86400]), after: 1000.1) != nil)
    }

    /// A series in quarantine; returns its number.
    private func quarantined() throws -> Int64 {
        try bench.record(bench.instance())
        try bench.complete()
        try bench.record(bench.instance("1.77", patient: "q"))
        try bench.store.associationEnded("a", .released, at: start)
        return try bench.store.quarantine()[0].id
    }

    @Test func whatIsQuarantinedStaysEvenDecided() throws {
        let id = try quarantined()
        try stays()
        try bench.store.keepApart(series: id, who: "j", why: "w", at: start)
        try stays()
    }

    @Test func whatIsQuarantinedGoesWhereThatIsWantedSoLongAfterTheLastDecision() throws {
        let rule = RetentionRule([.quarantined: 30 * 86400]), id = try quarantined()
        #expect(try delete(by: rule, after: 0) == nil)
        #expect(try delete(by: rule, after: 29) == nil)
        try bench.store.keepApart(series: id, who: "j", why: "w", at: start)
        #expect(try delete(by: rule, after: 29) == nil)
        #expect(try delete(by: rule, after: 58) == nil)
        let deletion = try #require(try delete(by: rule, after: 59.1))
        #expect(deletion.files == [bench.instance("1.77", patient: "q").path])
        #expect(deletion.reason == "It was quarantined 30 days ago or earlier.")
        // The rightful patient's series, which has a job that waits, is there.
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.current])
    }

    @Test func jobsGoInTheOrderTheyWereMadeWhateverTheClockSaidThen() throws {
        for (number, time) in [days(365), start, days(-365)].enumerated() {
            try bench.record(bench.instance("1.\(number)", series: "1.2.\(number)"), "\(number)", at: time)
            try bench.store.associationEnded("\(number)", .released, at: time)
            try bench.complete(at: time)
        }
        let claimed = try (0..<3).map { _ in try #require(try bench.store.claimJob(alive: [1, 2, 3], at: start)).seriesInstanceUID }
        #expect(claimed == ["1.2.0", "1.2.1", "1.2.2"])
    }

    @Test func aDeletedInstanceThatComesAgainIsKnownForWhatItIs() throws {
        try delivered()
        try send()
        #expect(try delete(after: 0) == nil)
        #expect(try delete(after: 8) != nil)
        #expect(try bench.record(bench.instance(), at: days(9)) == .restored(deleted: days(8)))
        #expect(try bench.store.seriesInProgress().isEmpty && bench.store.jobs().count == 1, "no second job")
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.current])
        #expect(try bench.record(bench.instance(), at: days(9)) == .known(path: bench.instance().path, size: 10))
        try bench.store.associationEnded("a", .released, at: days(9))
        #expect(try delete(after: 9) == nil)
        #expect(try delete(after: 15.9) == nil, "it counts from its return")
        #expect(try delete(after: 16.1) != nil)
    }

    @Test func anUnfinishedDeletionIsFoundAtTheNextStart() throws {
        try delivered()
        try send()
        _ = try delete(after: 0)
        #expect(try delete(after: 8) != nil)
        let recovery = try bench.store.recover(files: [bench.instance().path, "results/1/SEG.dcm"], at: days(9))
        #expect(recovery.unfinishedDeletions == [bench.instance().path, "results/1"])
        #expect(recovery.unrecordedFiles.isEmpty && recovery.missingFiles.isEmpty && recovery.missingResults.isEmpty)
    }

    @Test func aJobWhoseInstancesAreDeletedCannotBeRetried() throws {
        let id = try job(.withheld(reason: "Nothing found.", report: "{}"))
        _ = try delete(after: 0)
        #expect(try delete(after: 2) != nil)
        #expect { try bench.store.retry(job: id, at: days(3)) } throws: { "\($0)".contains("deleted") }
        try bench.record(bench.instance(), at: days(4))
        try bench.store.retry(job: id, at: days(5))
    }
}

@Suite struct RecoveryTests {
    @Test func aFileThatCameBackCountsAgain() throws {
        let bench = try Bench()
        try bench.record(bench.instance())
        _ = try bench.store.recover(files: [], at: start)
        #expect(try bench.store.headers(ofSeries: 1).isEmpty)
        let recovery = try bench.store.recover(files: [bench.instance().path], at: start)
        for instance in recovery.returnedFiles { try bench.store.restore(instance) }
        #expect(try bench.store.headers(ofSeries: 1).count == 1)
        #expect(try bench.store.recover(files: [bench.instance().path], at: start).returnedFiles.isEmpty)
    }

    @Test func aResultWithoutItsFileIsReported() throws {
        let bench = try Bench()
        let ticket = try bench.runningJob()
        try bench.store.finish(job: ticket.id, .succeeded(results: objects, deliveries: every(objects, to: ["a"]), report: "{}"), at: start)
        let recovery = try bench.store.recover(files: [bench.instance().path, "results/1/SEG.dcm"], at: start)
        #expect(recovery.missingResults == ["results/1/RTSTRUCT.dcm"])
    }
}
