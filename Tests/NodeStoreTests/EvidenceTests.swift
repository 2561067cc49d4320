import Foundation
import GRDB
import NodeTesting
import Testing

@testable import NodeStore

private let now = Date(timeIntervalSince1970: 1_800_000_000)

@Suite struct EvidenceStoreTests {
    private let store: Store

    init() throws { store = try Store(folder: Places.temporaryFolder("store")) }

    private func receive(_ sop: String, over association: String = "a", at moment: Date = now) throws {
        let instance = ReceivedInstance(
            sopInstanceUID: sop, sopClassUID: "1.1", transferSyntaxUID: "1.2", seriesInstanceUID: "2", studyInstanceUID: "3", patientDigest: "p",
            digest: "d\(sop)", size: 1, path: "instances/2/\(sop).dcm", header: Data(), refusal: nil)
        let record = AssociationRecord(key: association, callingAETitle: "CT-\(association)", calledAETitle: "N", peer: "p")
        _ = try store.record(instance, of: record, at: moment)
    }

    private func complete(at moment: Date = now) throws -> Int64 {
        let series = try #require(try store.seriesInProgress().first)
        return try #require(try store.complete(
            series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "t", maximumAttempts: 3, at: moment))
    }

    @Test func announcedInstancesAreCountedOnceAndThoseHeldAreNotMissing() throws {
        try receive("1")
        let step = Announcement(kind: .performedProcedureStep, sopInstanceUID: "9", source: "CT", state: .inProgress)
        #expect(try store.record(step, series: ["2": ["1", "2"], "4": ["5"]], isNew: true, at: now))
        #expect(try !store.record(step, series: nil, isNew: true, at: now), "it is there already")
        let notice = Announcement(kind: .instanceAvailability, sopInstanceUID: "9", source: "PACS", state: .completed)
        #expect(try !store.record(notice, series: nil, isNew: false, at: now), "it is not there")
        #expect(try store.record(notice, series: ["2": ["2", "3"]], isNew: true, at: now))
        let series = try #require(try store.seriesInProgress().first)
        #expect(series.source == "CT-a" && series.studyInstanceUID == "3")
        #expect(try store.announced(series: series.id) == AnnouncedSeries(announcements: [step, notice], instances: 3, missing: 2))
        // A step that names other images now has never named the first.
        let ended = Announcement(kind: .performedProcedureStep, sopInstanceUID: "9", source: "CT", state: .completed)
        #expect(try store.record(ended, series: ["2": ["1"]], isNew: false, at: now))
        #expect(try store.announced(series: series.id) == AnnouncedSeries(announcements: [ended, notice], instances: 3, missing: 2))
        // Two weeks later nobody waits for those any more.
        let later = Announcement(kind: .instanceAvailability, sopInstanceUID: "10", source: "PACS", state: .completed)
        #expect(try store.namesInstances(ended) && store.record(later, series: nil, isNew: true, at: now + 13 * 86_400))
        #expect(try store.announcement(.performedProcedureStep, "9") == ended)
        #expect(try store.record(Announcement(kind: .instanceAvailability, sopInstanceUID: "11", source: "PACS", state: .completed), series: nil, isNew: true, at: now + 15 * 86_400))
        #expect(try store.announcement(.performedProcedureStep, "9") == nil && store.announced(series: series.id) == nil)
    }

    @Test func theAssociationThatEndedLastIsTheLastThoughTheClockWasSetBack() throws {
        try receive("1", over: "a")
        try receive("2", over: "b", at: now - 86_400)
        try store.associationEnded("a", .aborted, at: now)
        #expect(try store.seriesInProgress().first?.source == "CT-b", "it is open")
        try store.associationEnded("b", .released, at: now - 86_400)
        let series = try #require(try store.seriesInProgress().first)
        #expect(series.lastEnding == .released && series.source == "CT-b")
    }

    @Test func aSupersedingJobIsToldWhatWasGivenOutBefore() throws {
        func run(_ outcome: (Int64) -> JobOutcome) throws -> JobTicket {
            let ticket = try #require(try store.claimJob(alive: [], at: now))
            try store.finish(job: ticket.id, outcome(ticket.id), at: now)
            return ticket
        }
        func succeed(_ job: Int64) -> JobOutcome {
            .succeeded(
                results: [NewResult(kind: "SEG", sopClassUID: "6", sopInstanceUID: "7.\(job)", path: "results/\(job)/SEG.dcm")], deliveries: [],
                report: "{}")
        }
        try receive("1")
        let first = try complete()
        #expect(try run(succeed).replaces.isEmpty)
        // The second job is superseded while it runs: its results are kept and not sent.
        try receive("2", at: now + 1)
        _ = try complete(at: now + 1)
        let running = try #require(try store.claimJob(alive: [], at: now))
        try receive("3", at: now + 2)
        _ = try complete(at: now + 2)
        try store.finish(job: running.id, succeed(running.id), at: now)
        let last = try run(succeed)
        #expect(running.replaces.map(\.sopInstanceUID) == ["7.\(first)"] && last.replaces.map(\.sopInstanceUID) == ["7.\(first)"])
    }

    @Test func commitmentsAreKeptUntilTheyAreTold() throws {
        let references = [CommitmentReference(sopClassUID: "1.1", sopInstanceUID: "1"), CommitmentReference(sopClassUID: "1.1", sopInstanceUID: "2")]
        func ask(_ references: [CommitmentReference]) throws -> Int64 {
            try store.recordCommitment(
                transactionUID: "5", requester: "CT", responder: "N", peer: "p", references: references, duplicate: 0x0131, firstAttempt: now, at: now)
        }
        let id = try ask(references)
        try store.record(check: [nil, 0x0112], of: id, at: now)
        try store.record(commitment: id, .postponed(until: now + 10, status: 0x0110, reason: "no"), at: now)
        let waiting = try #require(try store.pendingCommitments(of: "CT").first)
        #expect(waiting.attempts == 1 && waiting.failures == 1 && waiting.nextAttempt == now + 10 && waiting.checked == now)
        try store.record(commitment: id, .sent(status: 0, note: nil), at: now + 10)
        #expect(try store.pendingCommitments().isEmpty)
        #expect(try ask(references) == id, "the same once more")
        #expect(try store.pendingCommitments().first?.checked == nil)
        let other = try ask([references[0]])
        #expect(try other != id && store.commitment(other).1.map(\.failure) == [0x0131])
        #expect(throws: StoreError.self) { try store.commitment(99) }
        #expect(throws: StoreError.self) { try store.retry(commitment: 99, at: now) }
        try store.record(commitment: other, .failed(status: nil, reason: "never"), at: now)
        _ = try store.recordCommitment(
            transactionUID: "6", requester: "CT", responder: "N", peer: "p", references: references, duplicate: 0x0131,
            firstAttempt: now + 100 * 86_400, at: now + 100 * 86_400)
        #expect(try store.commitments().map(\.transactionUID) == ["6", "5"], "what waits is kept, what has ended is forgotten")
        let again = try Store(folder: store.folder)
        #expect(try again.pendingCommitments().map(\.id) == [id, other + 1])
    }
}
