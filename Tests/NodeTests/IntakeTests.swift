import DICOMCore
import DICOMImaging
import Foundation
import NodeStore
import NodeTesting
import Testing

@testable import Node

/// Instances that were acknowledged and have no rows yet.
@Suite struct IntakeTests {
    private let bench: Bench
    init() throws { bench = try Bench() }

    /// An instance in a file of the pool, as it is when its last byte was received.
    private func arrive(_ sop: String, into intake: Intake, patient: String? = nil) throws -> IntakeRecord {
        let dataSet = try Bench.dataSet(sop: sop), path = try intake.files.take()
        try dataSet.set(.pixelData, bytes: [UInt8](repeating: 4, count: 32))
        try dataSet.write(to: path)
        let header = try SliceHeader(dataSet)
        let instance = try ReceivedInstance(
            sopInstanceUID: sop, sopClassUID: header.sopClassUID.string, transferSyntaxUID: "1.2.840.10008.1.2.1", seriesInstanceUID: "1.2",
            studyInstanceUID: "1.3", patientDigest: patient ?? patientDigest(of: dataSet), digest: dataSetDigest(ofFile: path),
            size: Data(contentsOf: URL(fileURLWithPath: path)).count, path: "incoming/\((path as NSString).lastPathComponent)", header: header.json(),
            refusal: nil)
        return IntakeRecord(
            instance: instance, association: AssociationRecord(key: "run/1", callingAETitle: "CT", calledAETitle: "NODE", peer: "127.0.0.1"),
            received: Date())
    }

    /// Starts a node on a copy of the folder as it is now: what a kill leaves.
    private func afterKill(_ change: (DataFolder) throws -> Void = { _ in }) throws -> (folder: DataFolder, store: Store) {
        let root = try Places.temporaryFolder("killed")
        try FileManager.default.removeItem(at: root)
        try FileManager.default.copyItem(at: bench.folder.root, to: root)
        let folder = DataFolder(root)
        try change(folder)
        return (folder, try open(folder, creating: true, logger: bench.logger).0)
    }

    private enum Moment: CaseIterable { case afterTheAnswer, afterTheNewName, afterTheMove, afterTheRow }

    @Test func aCrashBetweenAnswerAndRowLosesNothingAndRecordsOnce() throws {
        for moment in Moment.allCases {
            let tests = try IntakeTests(), intake = try tests.patientIntake()
            let record = try tests.arrive("1.1", into: intake)
            #expect(try intake.add(record, awaitFlush: {}))
            #expect(try !tests.bench.store.holds("1.1"))
            if moment == .afterTheRow { intake.settle() }
            var (folder, store) = try tests.afterKill { folder in
                guard moment == .afterTheNewName || moment == .afterTheMove else { return }
                let incoming = folder.root.appending(path: record.instance.path)
                try FileManager.default.createDirectory(at: folder.instances.appending(path: "1.2"), withIntermediateDirectories: true)
                try FileManager.default.linkItem(at: incoming, to: folder.instances.appending(path: "1.2/1.1.dcm"))
                if moment == .afterTheMove { try FileManager.default.removeItem(at: incoming) }
            }
            for _ in 0..<2 {  // and the start after that changes nothing
                let rows = try store.instances(withSOPInstanceUID: "1.1")
                #expect(rows.map(\.state) == [.current] && rows.map(\.path) == ["instances/1.2/1.1.dcm"], "\(moment)")
                #expect(folder.condition(of: rows[0]) == .intact && rows[0].digest == record.instance.digest)
                #expect(try folder.instanceFiles() == ["instances/1.2/1.1.dcm"] && halfFiles(in: folder.incoming).isEmpty)
                let series = try store.seriesInProgress()
                #expect(series.map(\.lastEnding) == [.lost])
                #expect(try abs(series[0].lastArrival.timeIntervalSince(record.received)) < 0.001 && store.headers(ofSeries: 1) == [record.instance.header])
                store = try open(folder, creating: true, logger: bench.logger).0
            }
            intake.stop()
        }
    }

    @Test func whatWasNotFlushedBeforeACutIsNotRecorded() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        let record = try arrive("1.1", into: intake)
        #expect(try intake.add(record, awaitFlush: {}))
        // The bytes, and then the record, cut short.
        let damages: [(DataFolder) throws -> Void] = [
            { try Data(contentsOf: $0.root.appending(path: record.instance.path)).dropLast(8).write(to: $0.root.appending(path: record.instance.path)) },
            {
                var journal = try Data(contentsOf: $0.journal)
                let at = try #require(journal.range(of: Data("1.2.840.10008.1.2.1".utf8)))
                journal[at.lowerBound] ^= 1
                try journal.write(to: $0.journal)
            },
            { try Data(contentsOf: $0.journal).prefix(10).write(to: $0.journal) },
            { try FileManager.default.removeItem(at: $0.journal) },
        ]
        for damage in damages {
            let (folder, store) = try afterKill(damage)
            #expect(try store.instances(withSOPInstanceUID: "1.1").isEmpty && folder.files().isEmpty && halfFiles(in: folder.incoming).isEmpty)
        }
        #expect(try afterKill().store.instances(withSOPInstanceUID: "1.1").count == 1)
    }

    private func sqlite(_ folder: DataFolder, _ sql: String) throws {
        let result = try runTool("sqlite3", [folder.root.appending(path: "node.sqlite").path, sql])
        #expect(result.status == 0, "\(result.output)")
    }

    @Test(arguments: [true, false]) func oneThatCannotBeRecordedIsKeptForAPersonAndKeepsNoNodeFromStarting(forItsRow: Bool) throws {
        let intake = try patientIntake(), bad = try arrive("1.1", into: intake), good = try arrive("1.3", into: intake)
        defer { intake.stop() }
        for record in [bad, good] { #expect(try intake.add(record, awaitFlush: {})) }
        let (folder, store) = try afterKill { folder in
            if forItsRow {
                try sqlite(folder, "CREATE TRIGGER odd BEFORE INSERT ON instance WHEN NEW.sop_instance_uid = '1.1' BEGIN SELECT RAISE(ABORT, 'odd'); END")
            } else {
                for place in folder.places(of: bad.instance) {
                    try FileManager.default.createDirectory(at: folder.root.appending(path: "\(place.folder)/\(place.name)"), withIntermediateDirectories: true)
                }
            }
        }
        for _ in 0..<2 {  // and the start after that changes nothing
            #expect(try store.instances(withSOPInstanceUID: "1.1").isEmpty && store.instances(withSOPInstanceUID: "1.3").map(\.state) == [.current])
            let kept = try folder.unrecordedInstances()
            #expect(kept.map(\.path) == ["unrecorded/instances/1.2/1.1.dcm"] && kept.map(\.callingAETitle) == ["CT"])
            #expect(folder.condition(of: kept[0].path, size: bad.instance.size, digest: bad.instance.digest) == .intact)
            #expect(try StoreCheck(folder, arrivalSeconds: 0).run().findings == [.init(problem: .notRecorded, path: kept[0].path, sopInstanceUID: "1.1")])
            #expect(try IntakeJournal.records(in: folder).isEmpty && halfFiles(in: folder.incoming).isEmpty)
            _ = try open(folder, creating: true, logger: bench.logger)
        }
        if forItsRow { try sqlite(folder, "DROP TRIGGER odd") }
        // Sent in again.
        _ = try store.record(bad.instance.placed(at: "instances/1.2/1.1.dcm"), of: bad.association, at: Date())
        #expect(try StoreCheck(folder, arrivalSeconds: 0).run().findings.map(\.problem) == [.missing], "it is known, though this test put no file there")
    }

    @Test func aStartThatCanRecordNoneOrCannotKeepOneIsRefusedAndLosesNothing() throws {
        let intake = try patientIntake(), record = try arrive("1.1", into: intake)
        defer { intake.stop() }
        #expect(try intake.add(record, awaitFlush: {}))
        // A database that does not work, and a file that can be neither read nor moved.
        let harms: [(DataFolder) throws -> Void] = [
            { try sqlite($0, "CREATE TRIGGER odd BEFORE INSERT ON instance BEGIN INSERT INTO nowhere VALUES (1); END") },
            { folder in
                let odd = record.instance.placed(at: "incoming/\(String(repeating: "x", count: 300))")
                let again = IntakeRecord(instance: odd, association: record.association, received: record.received)
                try IntakeJournal.empty(in: folder)
                #expect(try IntakeJournal(in: folder).write(again) != nil)
            },
        ]
        for harm in harms {
            var harmed: DataFolder?
            #expect(throws: (any Error).self) {
                try afterKill {
                    harmed = $0
                    try harm($0)
                }
            }
            let folder = try #require(harmed)
            #expect(try IntakeJournal.records(in: folder).map(\.instance.sopInstanceUID) == ["1.1"])
            #expect(try halfFiles(in: folder.incoming).map { try Data(contentsOf: $0).count } == [record.instance.size])
        }
    }

    @Test func anInstanceWhoseFlushFailsIsNotRecordedByAnybody() throws {
        let intake = try patientIntake()
        let record = try arrive("1.1", into: intake)
        #expect(throws: NodeError.self) { try intake.add(record) { throw NodeError(.dataFolder, "full") } }
        #expect(try afterKill().store.instances(withSOPInstanceUID: "1.1").isEmpty)
        intake.stop()
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").isEmpty)
    }

    @Test func whoeverLooksSeesWhatWasAcknowledged() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        for sop in ["1.1", "1.2"] { #expect(try intake.add(arrive(sop, into: intake), awaitFlush: {})) }
        #expect(try bench.store.seriesInProgress().map(\.openAssociations) == [1])
        #expect(try bench.store.headers(ofSeries: 1).count == 2)
        #expect(try intake.add(arrive("1.3", into: intake), awaitFlush: {}))
        #expect(try bench.folder.holding(of: "1.3", class: SOPClass.ctImageStorage.string, in: bench.store) == .held)
    }

    @Test func whatCannotBeRecordedWaitsAndHoldsUpNobodyElse() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        let unblock = try blockTheSeries()
        #expect(try intake.add(arrive("1.1", into: intake), awaitFlush: {}))
        #expect(intake.settle().map(\.sopInstanceUID) == ["1.1"])
        #expect(try halfFiles(in: bench.folder.incoming).count == 1)
        // The end of its association waits with it; others go on.
        try bench.store.associationEnded("run/1", .released, at: Date())
        _ = try bench.store.seriesInProgress()
        try unblock()
        #expect(intake.settle().isEmpty)
        #expect(try bench.store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.current])
        #expect(try bench.store.seriesInProgress().map(\.lastEnding) == [.released])
    }

    /// Puts a file where the folder of the series should be; what is returned takes it away.
    private func blockTheSeries() throws -> () throws -> Void {
        let place = bench.folder.instances.appending(path: "1.2")
        try Data().write(to: place)
        return { try FileManager.default.removeItem(at: place) }
    }

    @Test func onceARowCannotBeWrittenNothingIsAcknowledgedWithoutOne() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        let unblock = try blockTheSeries(), late = try arrive("1.2", into: intake)
        #expect(try intake.add(arrive("1.1", into: intake), awaitFlush: {}))
        // That it is behind turns out while another is being flushed.
        #expect(try !intake.add(late) { intake.settle() })
        #expect(try !intake.add(arrive("1.3", into: intake)) { Issue.record("it was taken") })
        #expect(try IntakeJournal.records(in: bench.folder).map(\.instance.sopInstanceUID) == ["1.1"])
        try unblock()
        #expect(intake.settle().isEmpty)
        #expect(try intake.add(late, awaitFlush: {}))
    }

    @Test func ofWhatWasAcknowledgedAndCannotBeRecordedNothingIsSaid() throws {
        try bench.receive(7...7, from: "CT", at: Date())  // the series is known
        let series = try bench.store.seriesInProgress()[0], intake = try patientIntake()
        defer { intake.stop() }
        let unblock = try blockTheSeries()
        try intake.claim("1.1")
        #expect(try intake.add(arrive("1.1", into: intake, patient: "p"), awaitFlush: {}))
        // Not that it is missing, to whoever asks for commitment,
        let commitment = StorageCommitment(store: bench.store, folder: bench.folder, configuration: bench.configuration, logger: bench.logger) {}
        let asked = try bench.store.recordCommitment(
            transactionUID: "2.25.1", requester: "CT", responder: "NODE", peer: "p", references: [.init(sopClassUID: SOPClass.ctImageStorage.string, sopInstanceUID: "1.1")],
            duplicate: 1, firstAttempt: Date(), at: Date())
        #expect(throws: StoreError.self) { try commitment.report(on: bench.store.commitment(asked).0) }
        // nor that the series is complete,
        #expect(try bench.store.seriesInProgress().isEmpty)
        #expect(throws: StoreError.self) { try complete(series) }
        // nor which of two contents counts.
        #expect(throws: NodeError.self) { try intake.claim("1.1") }
        try unblock()
        #expect(try commitment.report(on: bench.store.commitment(asked).0).eventTypeID == 1)
        #expect(try bench.store.seriesInProgress().map(\.id) == [series.id])
        #expect(try complete(series) == nil)  // which rests on old evidence
        try intake.claim("1.1")
    }

    @Test func aDecisionMeetsWhatWasAcknowledgedJustBefore() throws {
        try bench.receive(7...7, from: "CT", at: Date())
        let series = try bench.store.seriesInProgress()[0], intake = try patientIntake()
        defer { intake.stop() }
        #expect(try intake.add(arrive("1.1", into: intake, patient: "p"), awaitFlush: {}))
        #expect(try complete(series) == nil)
        #expect(try complete(bench.store.seriesInProgress()[0]) != nil)
    }

    private func complete(_ series: SeriesInProgress) throws -> Int64? {
        try bench.store.complete(series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "t", maximumAttempts: 1, at: Date())
    }

    @Test func retentionTakesNothingThatWaitsForItsRow() throws {
        let past = Date() - 86400
        try bench.receive(7...7, from: "CT", at: past)
        let old = try bench.store.seriesInProgress()[0]
        _ = try bench.store.leaveOut(series: old.id, lastArrival: old.lastArrival, evidence: "{}", selection: "{}", reason: "", at: past)
        let intake = try patientIntake()
        defer { intake.stop() }
        #expect(try intake.add(arrive("1.1", into: intake, patient: "p"), awaitFlush: {}))
        try bench.store.noteUnneeded(at: 0)
        let deletion = try #require(try bench.store.delete(by: RetentionRule([.notContoured: 60]), at: 100, now: Date()))
        try bench.folder.remove(deletion.files, folders: deletion.folders)
        #expect(deletion.files == ["instances/1.2/7.dcm"])
        #expect(try bench.folder.holding(of: "1.1", class: SOPClass.ctImageStorage.string, in: bench.store) == .held)
        #expect(try bench.store.seriesInProgress().map(\.id) == [old.id])
    }

    @Test func aCheckOfTheStoreCountsWhatWaitsAndFindsNoFault() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        for sop in ["1.1", "1.2"] { #expect(try intake.add(arrive(sop, into: intake), awaitFlush: {})) }
        // One whose row was about to be written, and one that never came to its end.
        let records = try IntakeJournal.records(in: bench.folder)
        try FileManager.default.createDirectory(at: bench.folder.instances.appending(path: "1.2"), withIntermediateDirectories: true)
        try FileManager.default.linkItem(at: bench.folder.root.appending(path: records[0].instance.path), to: bench.folder.instances.appending(path: "1.2/\(records[0].instance.sopInstanceUID).dcm"))
        let half = try arrive("1.3", into: intake)
        try Data(count: 10).write(to: bench.folder.root.appending(path: half.instance.path))
        #expect(try intake.journal.write(half) != nil)
        let before = try StoreCheck(bench.folder, arrivalSeconds: 0).run()
        #expect(before.waiting == 2 && before.instances == 0 && before.findings.isEmpty)
        intake.settle()
        let after = try StoreCheck(bench.folder, arrivalSeconds: 0).run()
        #expect(after.waiting == 0 && after.instances == 2 && after.findings.isEmpty)
    }

    @Test func aClaimedUIDIsFreeOnceItsRowIsThere() throws {
        let intake = try patientIntake()
        defer { intake.stop() }
        try intake.claim("1.1")
        #expect(try intake.add(arrive("1.1", into: intake), awaitFlush: {}))
        try intake.claim("1.1")  // does not wait for the hour that the intake would
        #expect(try bench.store.holds("1.1"))
        intake.release("1.1")
    }

    @Test func theJournalHoldsWhatFitsAndNoMore() throws {
        let intake = try patientIntake(), record = try arrive("1.1", into: intake)
        intake.stop()
        let journal = try IntakeJournal(in: bench.folder)
        var slots: [Int] = []
        while let slot = try journal.write(record) { slots.append(slot) }
        #expect(slots.count == IntakeJournal.slotCount && Set(slots).count == slots.count)
        let read = try IntakeJournal.records(in: bench.folder)
        #expect(read.count == slots.count && read.allSatisfy { $0.bytes == record.bytes })
        journal.release([7])
        #expect(try journal.write(record) == 7)
        for slot in slots { try journal.clear(slot) }
        #expect(try IntakeJournal.records(in: bench.folder).isEmpty)
        // A record of another version, whole, is no torn one.
        let odd = IntakeRecord(instance: record.instance.placed(at: "a\0b"), association: record.association, received: record.received)
        #expect(try journal.write(odd) != nil)
        #expect(throws: NodeError.self) { try IntakeJournal.records(in: bench.folder) }
        try IntakeJournal.empty(in: bench.folder)
        let long = record.instance.placed(at: String(repeating: "x", count: IntakeJournal.slotSize))
        #expect(try journal.write(IntakeRecord(instance: long, association: record.association, received: Date())) == nil)
    }

    /// An intake that records nothing until it is told to.
    private func patientIntake() throws -> Intake { try Intake(folder: bench.folder, store: bench.store, logger: bench.logger, wait: 3_600_000) }
}
