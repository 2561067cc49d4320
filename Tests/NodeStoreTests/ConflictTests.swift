import Foundation
import GRDB
import NodeTesting
import Testing

@testable import NodeStore

/// Contents, in the order they came, and what is current then; a text of two letters is content and patient.
private struct Course: Sendable, CustomTestStringConvertible {
    let policy: ConflictPolicy
    let contents: [String]
    let current: String
    let outcomes: [Conflict.Outcome]
    var testDescription: String { "\(policy) \(contents.joined())" }
}

@Suite struct ConflictTests {
    private let bench: Bench
    init() throws { bench = try Bench() }

    private func record(_ content: String, _ policy: ConflictPolicy = .keepLast, series: String = "1.2", at now: Date = start) throws -> Recorded {
        try bench.store.record(
            bench.instance(series: series, digest: content), of: bench.association(), conflicts: policy, at: now)
    }

    private func current() throws -> [String] { try bench.store.instances(withSOPInstanceUID: "1.1").filter { $0.state == .current }.map(\.digest) }

    @Test(arguments: [
        Course(policy: .keepLast, contents: ["a", "b"], current: "b", outcomes: [.replaced]),
        Course(policy: .keepLast, contents: ["a", "b", "a"], current: "b", outcomes: [.replaced]),
        Course(policy: .keepLast, contents: ["a", "b", "c"], current: "c", outcomes: [.replaced, .replaced]),
        Course(policy: .keepFirst, contents: ["a", "b"], current: "a", outcomes: [.keptFirst]),
        Course(policy: .keepFirst, contents: ["a", "b", "b", "c"], current: "a", outcomes: [.keptFirst, .keptFirst]),
        Course(policy: .refuse, contents: ["a", "b", "a"], current: "a", outcomes: [.refused]),
    ])
    private func thePolicyDecidesWhichContentCounts(_ course: Course) throws {
        for (index, content) in course.contents.enumerated() { _ = try record(content, course.policy, at: start + Double(index)) }
        #expect(try current() == [course.current])
        #expect(try bench.store.conflicts().map(\.outcome) == course.outcomes)
        let kept = Set(course.contents.filter { course.policy != .refuse || $0 == "a" })
        #expect(try Set(bench.store.instances(withSOPInstanceUID: "1.1").map(\.digest)) == kept)
    }

    @Test func aRefusedContentLeavesNothingButItsEntryHoweverOftenItComes() throws {
        _ = try record("a", .refuse)
        for second in 1...3 { #expect(try record("b", .refuse, series: "1.9", at: start + Double(second)) == .refused) }
        let conflict = try #require(try bench.store.conflicts().first)
        #expect(conflict.times == 3 && conflict.first == start + 1 && conflict.last == start + 3)
        #expect(conflict.otherPath == nil && conflict.heldDigest == "a" && conflict.otherDigest == "b" && conflict.callingAETitle == "CT1")
        #expect(try bench.store.seriesInProgress().map(\.seriesInstanceUID) == ["1.2"])
    }

    @Test func aLaterContentThatDoesNotCountMakesNoJob() throws {
        _ = try record("a")
        try bench.complete()
        #expect(try record("b", .keepFirst) == .keptBehindFirst)
        #expect(try bench.store.seriesInProgress().isEmpty)
        #expect(try record("c", .keepLast) == .replacement)
        #expect(try bench.store.seriesInProgress().count == 1)
    }

    @Test func aUIDUsedInAnotherSeriesIsShownAndBothCount() throws {
        _ = try record("a")
        #expect(try record("b", series: "1.9") == .new)
        #expect(try bench.store.conflicts().map(\.outcome) == [.keptBeside])
        #expect(try current().sorted() == ["a", "b"])
    }

    @Test func theOlderContentIsNotMissingWhereItWasLost() throws {
        _ = try record("a")
        _ = try bench.store.recover(files: [], at: start)
        #expect(try record("b", .refuse) == .new, "what is lost cannot refuse its successor")
    }

    @Test func aLostInstanceThatComesAgainAfterItsJobRanMakesNoSecondJob() throws {
        let ticket = try bench.runningJob()
        try bench.store.finish(job: ticket.id, .succeeded(results: objects, deliveries: every(objects, to: ["a"]), report: "{}"), at: start)
        #expect(try bench.store.recover(files: [], at: start).missingFiles == [bench.instance().path])
        #expect(try bench.record(bench.instance()) == .new)
        #expect(try bench.store.seriesInProgress().isEmpty)
        #expect(try bench.store.headers(ofSeries: 1).count == 1)
    }
}

@Suite struct QuarantineTests {
    private let bench: Bench
    init() throws { bench = try Bench() }

    /// Series 1.2 of one patient, and 1.9 of another one in the same study; returns the number of the latter.
    private func intrude(refusal: String? = nil) throws -> Int64 {
        try bench.record(bench.instance("1.1", patient: "p"))
        try bench.record(bench.instance("1.77", series: "1.9", patient: "q", refusal: refusal), "b")
        return try #require(try bench.store.quarantine().first).id
    }

    @Test func aPersonSeesWhatIsKeptApartWithAFileOfEachSide() throws {
        _ = try intrude()
        let series = try #require(try bench.store.quarantine().first)
        #expect(series.seriesInstanceUID == "1.9" && series.state == .quarantined && series.instances == 1 && series.decisions.isEmpty)
        #expect(series.path == bench.instance("1.77", series: "1.9", patient: "q").path && series.otherPath == bench.instance().path)
        #expect(series.reason?.contains("another patient") == true && series.callingAETitles == ["CT1"])
    }

    @Test func aReleasedSeriesIsContouredAndTheDecisionStays() throws {
        let id = try intrude()
        try bench.store.release(series: id, who: "jane", why: "The name was corrected.", refusal: { _ in nil }, at: start + 5)
        #expect(try bench.store.quarantine().isEmpty)
        #expect(try bench.store.seriesInProgress().map(\.seriesInstanceUID) == ["1.2", "1.9"])
        let settled = try #require(try bench.store.quarantine(settled: true).first)
        #expect(settled.decisions.map(\.decision) == [.released] && settled.decisions[0].who == "jane" && settled.decisions[0].made == start + 5)
        try bench.record(bench.instance("1.78", series: "1.10", patient: "q"))
        #expect(try bench.store.quarantine().isEmpty, "whose claim to the study was granted once has it")
        #expect(throws: StoreError.self) { try bench.store.release(series: id, who: "j", why: "", refusal: { _ in nil }, at: start) }
        #expect(throws: StoreError.self) { try bench.store.release(series: 99, who: "j", why: "", refusal: { _ in nil }, at: start) }
    }

    @Test func aReleasedSeriesThatIsNoCTIsNotContoured() throws {
        let id = try intrude(refusal: "Not CT.")
        try bench.store.release(series: id, who: "j", why: "w", refusal: { _ in "Not CT." }, at: start)
        #expect(try bench.store.seriesInProgress().map(\.seriesInstanceUID) == ["1.2"])
    }

    @Test func aSeriesKeptApartStaysSoAndMayBeReleasedLater() throws {
        let id = try intrude()
        try bench.store.keepApart(series: id, who: "jane", why: "Another patient.", at: start)
        #expect(try bench.store.quarantine().isEmpty)
        try bench.record(bench.instance("1.79", series: "1.9", patient: "q"))
        #expect(try bench.store.seriesInProgress().map(\.seriesInstanceUID) == ["1.2"])
        try bench.store.release(series: id, who: "jane", why: "I was wrong.", refusal: { _ in nil }, at: start)
        #expect(try bench.store.quarantine(settled: true)[0].decisions.map(\.decision) == [.keptApart, .released])
    }

    @Test func decisionsCannotBeUndoneInTheDatabase() throws {
        try bench.store.keepApart(series: intrude(), who: "jane", why: "w", at: start)
        for sql in ["UPDATE decision SET who = 'x'", "DELETE FROM decision"] {
            #expect(throws: DatabaseError.self) { try bench.store.pool.write { try $0.execute(sql: sql) } }
        }
    }

    @Test func anIntruderDoesNotHoldUpTheRightfulPatient() throws {
        _ = try intrude()
        #expect(try bench.record(bench.instance("1.80", series: "1.11", patient: "p")) == .new)
    }
}

@Suite struct PatientIdentityTests {
    private func patient(_ id: String?, _ issuer: String? = nil, _ name: String?, _ birthDate: String?) -> PatientIdentity {
        PatientIdentity(
            whole: [id, name, birthDate].map { $0 ?? "" }.joined(), patientID: id, issuer: issuer, name: name, birthDate: birthDate)
    }

    @Test func patientIDDecidesWithinItsIssuer() {
        let one = patient("1", "A", "doe", "1970")
        for same in [
            patient("1", "A", "roe", "1970"), patient("1", nil, "roe", "1970"), patient("1", "A", "doe", "1971"), patient("1", "A", nil, nil),
            patient("1", "B", "doe", "1970"),
        ] { #expect(one.isSame(as: same) && same.isSame(as: one), "\(same)") }
        for other in [
            patient("2", "A", "doe", "1970"), patient("1", "B", "roe", "1970"), patient("1", "A", "roe", "1971"), patient(nil, nil, "doe", "1970"),
        ] { #expect(!one.isSame(as: other) && !other.isSame(as: one), "\(other)") }
    }

    @Test func withoutAnIDNameAndBirthDateMustAgree() {
        #expect(patient(nil, nil, "doe", "1970").isSame(as: patient(nil, "A", "doe", "1970")))
        #expect(!patient(nil, nil, "doe", "1970").isSame(as: patient(nil, nil, "roe", "1970")))
        #expect(!patient(nil, nil, "doe", nil).isSame(as: patient(nil, nil, "doe", "1970")))
    }

    @Test func aSeriesOfTheFirstSchemaIsKnownByItsWholeDigestAlone() {
        let old = PatientIdentity(rawValue: "1doe1970")
        #expect(old.isSame(as: patient("1", "A", "doe", "1970")) && patient("1", nil, "doe", "1970").isSame(as: old))
        #expect(!old.isSame(as: patient("1", "A", "roe", "1970")))
    }
}
