import Foundation
import NodeTesting
import Testing

@testable import NodeStore

@Suite struct RetentionTests {
    private let bench: Bench
    private let rule = RetentionRule(delivered: 7 * 86400, notContoured: 1 * 86400)
    private func days(_ days: Double) -> Date { start + days * 86400 }
    init() throws { bench = try Bench() }

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
        try send(at: days(3))
        #expect(try bench.store.delete(by: rule, at: days(9.9)) == nil)
        let deletion = try #require(try bench.store.delete(by: rule, at: days(10.1)))
        #expect(deletion.files == [bench.instance().path] && deletion.folders == ["results/1"])
        #expect(deletion.reason == "Its results were delivered 7 days ago or earlier.")
        let row = try #require(try bench.store.instances(withSOPInstanceUID: "1.1").first)
        #expect(row.state == .missing && row.deleted == days(10.1) && row.deletion == deletion.reason)
        #expect(try bench.store.delete(by: rule, at: days(99)) == nil)
    }

    @Test func whatOneDestinationLacksStays() throws {
        try delivered(to: ["a", "b"])
        try send("a")
        #expect(try bench.store.delete(by: rule, at: days(999)) == nil)
        let last = try #require(try bench.store.pendingDeliveries(to: "b").first)
        try bench.store.record(delivery: last.id, .failed(status: nil, reason: "Given up."), at: start)
        try send("b")
        #expect(try bench.store.delete(by: rule, at: days(999)) == nil, "given up is not taken")
    }

    @Test func resultsMadeForNoDestinationStay() throws {
        try delivered(to: [])
        #expect(try bench.store.delete(by: rule, at: days(999)) == nil)
    }

    @Test func whatMakesNoResultGoesByItsOwnAge() throws {
        _ = try job(.withheld(reason: "Nothing found.", report: "{}"))
        #expect(try bench.store.delete(by: RetentionRule(delivered: 0, notContoured: nil), at: days(999)) == nil)
        #expect(try bench.store.delete(by: rule, at: days(0.9)) == nil)
        #expect(try bench.store.delete(by: rule, at: days(1.1))?.files == [bench.instance().path])
    }

    @Test func whatIsIgnoredGoesToo() throws {
        try bench.record(bench.instance(refusal: "Not CT."))
        #expect(try bench.store.delete(by: rule, at: days(9)) == nil, "its association is open")
        try bench.store.associationEnded("a", .released, at: start)
        #expect(try bench.store.delete(by: rule, at: days(9)) != nil)
    }

    @Test func whatArrivesWaitsRunsOrFailedStays() throws {
        func stays(_ why: Comment) throws { #expect(try bench.store.delete(by: rule, at: days(999)) == nil, why) }
        try bench.record(bench.instance())
        try bench.store.associationEnded("a", .released, at: start)
        try stays("receiving")
        try bench.complete()
        try stays("queued")
        let ticket = try #require(try bench.store.claimJob(alive: [], at: start))
        try stays("running")
        try bench.store.finish(job: ticket.id, .failed(reason: "No weights."), at: start)
        try stays("failed: a person may retry it")
    }

    @Test func whatIsQuarantinedStaysEvenDecided() throws {
        try bench.record(bench.instance())
        try bench.complete()
        try bench.record(bench.instance("1.77", patient: "q"))
        try bench.store.associationEnded("a", .released, at: start)
        let id = try bench.store.quarantine()[0].id
        try bench.store.keepApart(series: id, who: "j", why: "w", at: start)
        #expect(try bench.store.delete(by: rule, at: days(999)) == nil)
    }

    @Test func aDeletedInstanceThatComesAgainIsKnownForWhatItIs() throws {
        try delivered()
        try send()
        _ = try bench.store.delete(by: rule, at: days(8))
        #expect(try bench.record(bench.instance(), at: days(9)) == .restored(deleted: days(8)))
        #expect(try bench.store.seriesInProgress().isEmpty && bench.store.jobs().count == 1, "no second job")
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.current])
        #expect(try bench.record(bench.instance(), at: days(9)) == .known(path: bench.instance().path, size: 10))
        #expect(try bench.store.delete(by: rule, at: days(15.9)) == nil, "it counts from its return")
        try bench.store.associationEnded("a", .released, at: days(9))
        #expect(try bench.store.delete(by: rule, at: days(16.1)) != nil)
    }

    @Test func anUnfinishedDeletionIsFoundAtTheNextStart() throws {
        try delivered()
        try send()
        _ = try bench.store.delete(by: rule, at: days(8))
        let recovery = try bench.store.recover(files: [bench.instance().path, "results/1/SEG.dcm"], at: days(9))
        #expect(recovery.unfinishedDeletions == [bench.instance().path, "results/1"])
        #expect(recovery.unrecordedFiles.isEmpty && recovery.missingFiles.isEmpty && recovery.missingResults.isEmpty)
    }

    @Test func aJobWhoseInstancesAreDeletedCannotBeRetried() throws {
        let id = try job(.withheld(reason: "Nothing found.", report: "{}"))
        _ = try bench.store.delete(by: rule, at: days(2))
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
