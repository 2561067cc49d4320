import Foundation
import GRDB
import NodeTesting
import Testing

@testable import NodeStore

let start = Date(timeIntervalSince1970: 1_800_000_000.125)

/// A store in a folder of its own with the few steps the tests share.
struct Bench {
    let store: Store
    init() throws { store = try Store(folder: Places.temporaryFolder("store")) }
    init(store: Store) { self.store = store }

    func association(_ key: String = "a") -> AssociationRecord {
        AssociationRecord(key: key, callingAETitle: "CT1", calledAETitle: "MEDLSAM", peer: "127.0.0.1")
    }

    func instance(
        _ sop: String = "1.1", series: String = "1.2", study: String = "1.3", patient: String = "p", digest: String = "d", refusal: String? = nil
    ) -> ReceivedInstance {
        ReceivedInstance(
            sopInstanceUID: sop, sopClassUID: "1.2.840.10008.5.1.4.1.1.2", transferSyntaxUID: "1.2.840.10008.1.2.1",
            seriesInstanceUID: series, studyInstanceUID: study, patientDigest: patient, digest: digest, size: 10,
            path: "instances/\(series)/\(sop).\(digest).\(patient).dcm", header: Data(sop.utf8), refusal: refusal)
    }

    @discardableResult
    func record(_ instance: ReceivedInstance, _ key: String = "a", at now: Date = start) throws -> Recorded {
        try store.record(instance, of: association(key), at: now)
    }

    /// Completes the one series that is in progress.
    @discardableResult
    func complete(at now: Date = start) throws -> Int64? {
        let series = try #require(try store.seriesInProgress().first)
        return try store.complete(
            series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "head-neck", maximumAttempts: 3, at: now)
    }

    /// A running job of one instance.
    func runningJob() throws -> JobTicket {
        try record(instance())
        try complete()
        return try #require(try store.claimJob(alive: [], at: start))
    }
}

let objects = [
    NewResult(kind: "SEG", sopClassUID: "1.4", sopInstanceUID: "1.5", path: "results/1/SEG.dcm"),
    NewResult(kind: "RTSTRUCT", sopClassUID: "1.6", sopInstanceUID: "1.7", path: "results/1/RTSTRUCT.dcm"),
]

/// Deliveries of each of some results to each of some destinations.
func every(_ results: [NewResult], to destinations: [String]) -> [NewDelivery] {
    destinations.flatMap { destination in results.indices.map { NewDelivery(result: $0, destination: destination) } }
}

@Suite struct StoreTests {
    @Test func commitsAreDurableAgainstPowerCuts() throws {
        let durability = try Bench().store.durability()
        #expect(durability.synchronous == 2 && durability.journal == "wal")
    }

    @Test func aDatabaseOfTheFirstSchemaIsBroughtUpToDate() throws {
        let folder = try Places.temporaryFolder("store")
        let pool = try DatabasePool(path: folder.appending(path: "node.sqlite").path)
        try Schema.migrator.migrate(pool, upTo: "1 from scanner to archive")
        try pool.write { try $0.execute(sql: """
            INSERT INTO series VALUES (1, '1.2', '1.3', 'p', 'complete', NULL, 1);
            INSERT INTO job (series, state, template_set, max_attempts, created) VALUES (1, 'queued', 'head-neck', 3, 1);
            """) }
        try pool.close()
        let store = try Store(folder: folder)
        #expect(try store.job(1).selection == nil && store.openContests().isEmpty)
        #expect(try store.claimJob(alive: [], at: start)?.templateSet == "head-neck")
    }

    @Test func theSchemaRefusesStatesNobodyKnows() throws {
        let bench = try Bench()
        let job = try bench.runningJob().id
        for sql in [
            "UPDATE job SET state = 'lost' WHERE id = \(job)", "UPDATE job SET attempts = 4", "UPDATE job SET state = 'failed', reason = NULL",
            "UPDATE series SET state = 'done'", "DELETE FROM series", "INSERT INTO job_instance VALUES (99, 99)",
        ] {
            #expect(throws: DatabaseError.self) { try bench.store.pool.write { try $0.execute(sql: sql) } }
        }
    }

    @Test func manyWritersShareCommitsAndOneFailureIsItsOwn() async throws {
        let bench = try Bench()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<8 {
                group.addTask {
                    await withCheckedContinuation { done in
                        Thread.detachNewThread {
                            for index in 0..<25 {
                                #expect(throws: Never.self) { try bench.record(bench.instance("1.\(thread).\(index)"), "a\(thread)") }
                            }
                            #expect(throws: DatabaseError.self) {
                                try bench.store.groupCommit { try $0.execute(sql: "UPDATE series SET state = 'nonsense'") }
                            }
                            done.resume()
                        }
                    }
                }
            }
        }
        #expect(try bench.store.headers(ofSeries: 1).count == 200)
    }

    @Test func anInstanceWhoseFolderCannotBeFlushedIsNoSuccess() throws {
        let bench = try Bench()
        #expect(throws: (any Error).self) {
            try bench.store.record(bench.instance(), of: bench.association(), at: start) { try makeDurable(URL(fileURLWithPath: "/nowhere")) }
        }
        // Though the row may have been written: it must not pass for one that was acknowledged.
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").allSatisfy { $0.state == .missing })
        #expect(try bench.record(bench.instance()) == .new)
    }

    // MARK: Intake

    @Test func theSameInstanceAgainIsKnownAndMakesNoWork() throws {
        let bench = try Bench()
        #expect(try bench.record(bench.instance()) == .new)
        try bench.complete()
        #expect(try bench.record(bench.instance(), "b") == .known(path: bench.instance().path, size: 10))
        #expect(try bench.store.seriesInProgress().isEmpty)
        #expect(try bench.store.jobs().count == 1)
    }

    @Test func otherBytesUnderTheSameUIDAreKeptAndTheLaterAreCurrent() throws {
        let bench = try Bench()
        try bench.record(bench.instance(digest: "old"))
        #expect(try bench.record(bench.instance(digest: "new")) == .replacement)
        try bench.complete()
        #expect(try bench.store.claimJob(alive: [], at: start)?.paths == [bench.instance(digest: "new").path])
        #expect(try bench.store.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM instance") } == 2)
    }

    @Test(arguments: [("1.2", "1.3", "q"), ("1.9", "1.3", "q"), ("1.2", "1.8", "p")])
    func aClashOfIdentityIsKeptApartAndShown(series: String, study: String, patient: String) throws {
        let bench = try Bench()
        try bench.record(bench.instance())
        let odd = bench.instance("1.77", series: series, study: study, patient: patient)
        guard case .quarantined = try bench.record(odd) else { Issue.record("not quarantined"); return }
        #expect(try bench.store.headers(ofSeries: 1).count == 1)
        let job = try #require(try bench.store.jobs().first)
        #expect(job.state == .refused && job.reason!.hasPrefix("Quarantined"))
        #expect(throws: StoreError.self) { try bench.store.retry(job: job.id, at: start) }
        #expect(try bench.store.seriesInProgress().count == 1)
    }

    @Test func whatIsNotForContouringIsShownOncePerSeries() throws {
        let bench = try Bench()
        try bench.record(bench.instance("1.1", refusal: "Not CT."))
        try bench.record(bench.instance("1.10", refusal: "Not CT."))
        #expect(try bench.store.jobs().map(\.reason) == ["Not CT."])
        #expect(try bench.store.seriesInProgress().isEmpty)
        try bench.record(bench.instance("1.11"))
        #expect(try bench.store.seriesInProgress().count == 1)
    }

    // MARK: Assembly

    @Test func anInstanceThatCameDuringTheDecisionStopsIt() throws {
        let bench = try Bench()
        try bench.record(bench.instance())
        let seen = try #require(try bench.store.seriesInProgress().first)
        try bench.record(bench.instance("1.10"), at: start + 1)
        let job = try bench.store.complete(
            series: seen.id, lastArrival: seen.lastArrival, evidence: "", templateSet: "t", maximumAttempts: 1, at: start + 1)
        #expect(job == nil)
        #expect(try bench.store.jobs().isEmpty)
    }

    @Test func associationsAreKnownAfterARestart() throws {
        let bench = try Bench()
        try bench.record(bench.instance(), "a")
        try bench.record(bench.instance(), "b")
        try bench.store.associationEnded("a", .released, at: start + 3)
        var series = try #require(try bench.store.seriesInProgress().first)
        #expect(series.openAssociations == 1 && series.lastEnding == .released && series.lastEnd == start + 3)
        let again = try Store(folder: bench.store.folder)
        #expect(try again.recover(files: [bench.instance().path], at: start + 5).lostAssociations == 1)
        series = try #require(try again.seriesInProgress().first)
        #expect(series.openAssociations == 0 && series.lastEnding == .lost && series.lastEnd == start + 5)
    }

    /// Found by Tests/Faults/disk.py: a disk that is full just then left the series waiting until the next start.
    @Test func theEndOfAnAssociationIsRecordedOnceTheDiskTakesItAgain() throws {
        let bench = try Bench()
        try bench.record(bench.instance())
        try bench.store.pool.write {
            try $0.execute(sql: "CREATE TRIGGER full BEFORE UPDATE ON association BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        }
        #expect(throws: (any Error).self) { try bench.store.associationEnded("a", .released, at: start + 3) }
        #expect(throws: (any Error).self) { try bench.store.seriesInProgress() }
        try bench.store.pool.write { try $0.execute(sql: "DROP TRIGGER full") }
        let series = try #require(try bench.store.seriesInProgress().first)
        #expect(series.openAssociations == 0 && series.lastEnding == .released && series.lastEnd == start + 3)
    }

    @Test func rowsAndFilesAreReconciled() throws {
        let bench = try Bench()
        try bench.record(bench.instance("1.1"))
        try bench.record(bench.instance("1.10"))
        let recovery = try bench.store.recover(files: [bench.instance("1.1").path, "instances/x.dcm"], at: start)
        #expect(recovery.missingFiles == [bench.instance("1.10").path])
        #expect(recovery.unrecordedFiles == ["instances/x.dcm"])
        #expect(try bench.record(bench.instance("1.10")) == .new)
        #expect(try bench.store.headers(ofSeries: 1).count == 2)
    }

    // MARK: Jobs

    @Test func aCrashCostsOneAttemptAndTheThirdFails() throws {
        let bench = try Bench()
        var ticket = try bench.runningJob()
        for attempt in 1...3 {
            #expect(ticket.attempt == attempt)
            let state = try bench.store.finish(job: ticket.id, .attemptLost(reason: "Signal 9."), at: start)
            #expect(state == (attempt < 3 ? .queued : .failed))
            if attempt < 3 { ticket = try #require(try bench.store.claimJob(alive: [], at: start)) }
        }
        #expect(try bench.store.job(ticket.id).summary.reason == "Signal 9. (attempt 3 of 3)")
        try bench.store.retry(job: ticket.id, at: start)
        #expect(try bench.store.claimJob(alive: [], at: start)?.attempt == 1)
    }

    @Test func aStopOfTheNodeCostsTheRunningJobOneAttempt() throws {
        let bench = try Bench()
        _ = try bench.runningJob()
        let again = try Store(folder: bench.store.folder)
        #expect(try again.recover(files: [bench.instance().path], at: start).interruptedJobs == 1)
        #expect(try again.claimJob(alive: [], at: start)?.attempt == 2)
    }

    @Test func aJobWhoseEndWasNotRecordedLosesTheAttempt() throws {
        let bench = try Bench()
        let lost = try bench.runningJob()
        #expect(try bench.store.claimJob(alive: [lost.id], at: start) == nil)
        #expect(try bench.store.claimJob(alive: [], at: start)?.attempt == 2)
    }

    @Test func lateSlicesSupersedeAQueuedJobAtOnce() throws {
        let bench = try Bench()
        try bench.record(bench.instance("1.1"))
        let first = try #require(try bench.complete())
        try bench.record(bench.instance("1.10"))
        let second = try #require(try bench.complete())
        #expect(try bench.store.jobs().map(\.state) == [.queued, .superseded])
        #expect(try bench.store.job(second).summary.supersedes == first)
        #expect(try bench.store.claimJob(alive: [], at: start)?.paths.count == 2)
    }

    @Test func lateSlicesLeaveARunningJobItsInputAndItsResultsUnsent() throws {
        let bench = try Bench()
        let running = try bench.runningJob()
        try bench.record(bench.instance("1.10"))
        let second = try #require(try bench.complete())
        #expect(running.paths.count == 1)
        #expect(try bench.store.claimJob(alive: [running.id], at: start) == nil, "one job of a series at a time")
        let state = try bench.store.finish(
            job: running.id, .succeeded(results: objects, deliveries: every(objects, to: ["archive"]), report: "{}"), at: start)
        #expect(state == .superseded)
        #expect(try bench.store.pendingDeliveries().isEmpty)
        #expect(try bench.store.job(running.id).results.count == 2)
        #expect(try bench.store.claimJob(alive: [], at: start)?.id == second)
    }

    @Test func onlyARunningJobCanEnd() throws {
        let bench = try Bench()
        let ticket = try bench.runningJob()
        try bench.store.finish(job: ticket.id, .withheld(reason: "Nothing found.", report: "{}"), at: start)
        #expect(throws: StoreError.self) { try bench.store.finish(job: ticket.id, .refused(reason: "x"), at: start) }
    }

    // MARK: Outbox

    /// Objects of which one decides about the others: a label map and a binary segmentation, say.
    private func jobWithAChoice(_ bench: Bench) throws -> Int64 {
        let ticket = try bench.runningJob()
        let deliveries = [NewDelivery(result: 0, destination: "a", condition: .decides), NewDelivery(result: 1, destination: "a", condition: .ifNotTaken)]
        try bench.store.finish(job: ticket.id, .succeeded(results: objects, deliveries: deliveries, report: "{}"), at: start)
        return ticket.id
    }

    @Test func whatDependsOnAnAnswerWaitsForItAndThenGoesOrNever() throws {
        for isTaken in [true, false] {
            let bench = try Bench(), job = try jobWithAChoice(bench)
            #expect(try bench.store.job(job).deliveries.map(\.state) == [.pending, .standby])
            #expect(try bench.store.standbyDeliveries(of: job, to: "a").map(\.sopInstanceUID) == ["1.7"])
            for answer in [isTaken, !isTaken] {
                // The second answer comes too late.
                try bench.store.settle(deliveriesOf: job, to: "a", isTaken: answer, reason: "The peer said so.", at: start + 5)
                if answer == isTaken { #expect(try bench.store.job(job).deliveries.map(\.state) == (isTaken ? [.pending, .omitted] : [.omitted, .pending])) }
            }
            #expect(try bench.store.pendingDeliveries(to: "a").count <= 1, "never both")
        }
    }

    @Test func aRetryLeavesAloneWhatWaitsForAnAnswerOrNeverGoes() throws {
        let bench = try Bench(), job = try jobWithAChoice(bench)
        let decides = try #require(try bench.store.pendingDeliveries(to: "a").first)
        try bench.store.record(delivery: decides.id, .failed(status: nil, reason: "Given up."), at: start)
        try bench.store.retry(job: job, at: start + 9)
        #expect(try bench.store.job(job).deliveries.map(\.state) == [.pending, .standby])
    }

    @Test func resultsAndOutboxAppearTogether() throws {
        let bench = try Bench()
        let ticket = try bench.runningJob()
        let twice = [objects[0], objects[0]]
        #expect(throws: DatabaseError.self) {
            try bench.store.finish(job: ticket.id, .succeeded(results: twice, deliveries: every(twice, to: ["a"]), report: "{}"), at: start)
        }
        #expect(try bench.store.pendingDeliveries().isEmpty)
        #expect(try bench.store.job(ticket.id).summary.state == .running)
    }

    @Test func aDeliveryIsSentOnlyWhenRecordedSo() throws {
        let bench = try Bench()
        let ticket = try bench.runningJob()
        try bench.store.finish(job: ticket.id, .succeeded(results: objects, deliveries: every(objects, to: ["a", "b"]), report: "{}"), at: start)
        let due = try bench.store.pendingDeliveries(to: "a")
        #expect(due.map(\.sopInstanceUID) == ["1.5", "1.7"])
        try bench.store.record(delivery: due[0].id, .sent(status: 0, note: nil), at: start)
        try bench.store.record(delivery: due[1].id, .postponed(until: start + 60, status: 0xA700, reason: "Out of resources."), at: start)
        #expect(try bench.store.pendingDeliveries(to: "a").map(\.nextAttempt) == [start + 60])
        var summary = try bench.store.job(ticket.id).summary
        #expect(summary.sent == 1 && summary.pending == 3 && summary.undelivered == 0)
        try bench.store.record(delivery: due[1].id, .failed(status: 0xA700, reason: "Given up."), at: start)
        summary = try bench.store.job(ticket.id).summary
        #expect(summary.undelivered == 1)
        try bench.store.retry(job: ticket.id, at: start + 9)
        #expect(try bench.store.job(ticket.id).summary.undelivered == 0)
        #expect(try bench.store.job(ticket.id).deliveries.first { $0.state == .sent }?.lastStatus == 0)
    }
}
