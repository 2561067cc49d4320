import DICOMCore
import Foundation
import NodeStore
import NodeTesting
import Testing

@testable import Node

/// A node's folder with five instances that storescu sent, and its look at itself.
private struct Kept {
    let receiver: Receiver
    var folder: DataFolder { receiver.bench.folder }
    var store: Store { receiver.bench.store }

    init() throws {
        receiver = try Receiver()
        let sent = try receiver.send((1...5).map { try receiver.file(Bench.dataSet(sop: "1.\($0)", z: Double($0))) })
        #expect(sent.status == 0, "\(sent.output)")
    }

    func file(_ number: Int) -> URL { folder.instances.appending(path: "1.2/1.\(number).dcm") }

    func report() throws -> StoreReport { try StoreCheck(folder).run() }

    /// Marks the series as contoured and delivered long ago.
    func delivered() throws {
        let series = try #require(try store.seriesInProgress().first)
        let job = try #require(try store.complete(
            series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "t", maximumAttempts: 1, at: Date()))
        _ = try store.claimJob(alive: [], at: Date())
        let result = folder.results.appending(path: "\(job)")
        try FileManager.default.createDirectory(at: result, withIntermediateDirectories: false)
        let path = result.appending(path: "SEG.dcm").path
        try Bench.dataSet(sop: "1.50", sopClass: SOPClass.segmentationStorage).write(to: path)
        let object = NewResult(
            kind: "SEG", sopClassUID: SOPClass.segmentationStorage.string, sopInstanceUID: "1.50", path: "results/\(job)/SEG.dcm",
            digest: try dataSetDigest(ofFile: path))
        try store.finish(job: job, .succeeded(results: [object], deliveries: every([object], to: ["a"]), report: "{}"), at: Date())
        for delivery in try store.pendingDeliveries() { try store.record(delivery: delivery.id, .sent(status: 0, note: nil), at: Date()) }
    }
}

@Suite struct StoreCheckTests {
    private let kept: Kept
    init() throws { kept = try Kept() }

    @Test func aSoundStoreHasNoFindings() throws {
        try kept.delivered()
        let report = try kept.report()
        #expect(report.findings.isEmpty && report.instances == 5 && report.results == 1)
        let sizes = try (1...5).reduce(0) { $0 + (try Data(contentsOf: kept.file($1)).count) }
        #expect(report.bytes > sizes && report.megabytesPerSecond > 0)
    }

    @Test func everyHarmIsFoundWithItsName() throws {
        let manager = FileManager.default
        try kept.delivered()
        let sound = try Data(contentsOf: kept.file(1))
        try sound.dropLast(10).write(to: kept.file(1))
        let (two, three) = (try Data(contentsOf: kept.file(2)), try Data(contentsOf: kept.file(3)))
        #expect(two.count == three.count)
        try two.write(to: kept.file(3))
        try three.write(to: kept.file(2))
        try manager.removeItem(at: kept.file(4))
        try manager.moveItem(at: kept.file(5), to: kept.folder.root.appending(path: "elsewhere.dcm"))
        try manager.createSymbolicLink(at: kept.file(5), withDestinationURL: kept.folder.root.appending(path: "elsewhere.dcm"))
        let stray = kept.folder.instances.appending(path: "1.2/1.99.dcm")
        try sound.write(to: stray)
        // Older than what may still be on its way: by a clock of its own, for ctime cannot be set.
        let result = kept.folder.results.appending(path: "1/SEG.dcm")
        var bytes = try Data(contentsOf: result)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: result)
        let report = try StoreCheck(kept.folder, arrivalSeconds: 0).run()
        let found = Dictionary(grouping: report.findings, by: \.problem).mapValues { $0.map(\.path).sorted() }
        #expect(found == [
            .wrongSize: ["instances/1.2/1.1.dcm"], .wrongContent: ["instances/1.2/1.2.dcm", "instances/1.2/1.3.dcm", "results/1/SEG.dcm"],
            .missing: ["instances/1.2/1.4.dcm"], .notAFile: ["instances/1.2/1.5.dcm"], .unrecorded: ["instances/1.2/1.99.dcm"],
        ])
    }

    @Test func aLookChangesNothing() throws {
        func state() throws -> String { try runTool("sh", ["-c", "cd \(kept.folder.root.path); find . -not -name '*-shm' -printf '%p %s %T@ %i\\n' | sort"]).output }
        _ = try kept.report()
        let before = try state()
        _ = try kept.report()
        #expect(try state() == before)
    }

    @Test func aLookBesideARunningReceiverFindsNothing() async throws {
        let files = try (0..<120).map { try kept.receiver.file(Bench.dataSet(sop: "1.7.\($0)", z: Double($0))) }
        let port = kept.receiver.port
        async let sent = onOwnThread("send") { try runTool("storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(port)"] + files) }
        var looks = 0
        repeat {
            #expect(try StoreCheck(kept.folder).run().findings.isEmpty)
            looks += 1
        } while try kept.store.headers(ofSeries: 1).count < 125 && looks < 1000
        #expect(try await sent.status == 0)
    }

    @Test func whatStorageCommitmentAsksIsAnsweredByTheDisk() throws {
        let (folder, store) = (kept.folder, kept.store)
        func holding(_ number: Int, _ sopClass: UID = SOPClass.ctImageStorage) throws -> Holding {
            try folder.holding(of: "1.\(number)", class: sopClass.string, in: store)
        }
        #expect(try holding(1) == .held && holding(9) == .notHeld && holding(1, SOPClass.mrImageStorage) == .otherClass)
        try Data(contentsOf: kept.file(2)).dropLast().write(to: kept.file(2))
        try FileManager.default.removeItem(at: kept.file(3))
        #expect(try holding(2) == .damaged(.wrongSize) && holding(3) == .notHeld)
    }
}

@Suite struct KeepingServiceTests {
    private let kept: Kept
    private let service: KeepingService
    private let begun = ContinuousClock.now

    init() throws {
        kept = try Kept()
        service = KeepingService(
            store: kept.store, folder: kept.folder, watch: try kept.receiver.bench.watch, rule: RetentionRule([.delivered: 86400]),
            logger: kept.receiver.bench.logger)
    }

    /// Lets the service look so many days after its start.
    private func look(after days: Double = 0, at now: Date = Date()) throws { _ = try service.keep(at: now, steady: begun + .seconds(days * 86400)) }

    @Test func filesGoAndRowsSayWhenAndWhy() throws {
        try look(after: 2)
        #expect(try kept.receiver.kept().count == 5, "not contoured yet")
        try kept.delivered()
        try look(after: 3)
        try look(after: 3.9)
        #expect(try kept.receiver.kept().count == 5, "not old enough")
        try look(after: 4.1)
        #expect(try kept.receiver.kept().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: kept.folder.results.path).isEmpty)
        let report = try kept.report()
        #expect(report.findings.isEmpty && report.deleted == 5 && report.instances == 0 && report.results == 0)
        // By sqlite3 itself.
        let rows = try runTool("sqlite3", [kept.folder.root.appending(path: "node.sqlite").path, "SELECT DISTINCT state, deletion, deleted > 0 FROM instance"])
        #expect(rows.output == "missing|Its results were delivered 1 day ago or earlier.|1\n", "\(rows.output)")
        // The sender sends one again.
        #expect(try kept.receiver.send([kept.receiver.file(Bench.dataSet(sop: "1.1", z: 1))]).status == 0)
        #expect(try kept.receiver.kept() == ["1.1.dcm"])
        #expect(try kept.store.jobs().count == 1 && kept.store.seriesInProgress().isEmpty)
    }

    @Test func aDeletionThatBrokeOffIsFinishedAtTheNextStart() throws {
        try kept.delivered()
        // The rows are marked; then the node is killed.
        try kept.store.noteUnneeded(at: 0)
        #expect(try kept.store.delete(by: RetentionRule([.delivered: 0]), at: 1, now: Date())?.files.count == 5)
        #expect(try kept.report().findings.allSatisfy { $0.problem == .notDeleted })
        _ = try open(kept.folder, creating: true, logger: kept.receiver.bench.logger)
        #expect(try kept.receiver.kept().isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: kept.folder.results.path).isEmpty)
        #expect(try kept.report().findings.isEmpty)
    }

    @Test func rejectedObjectsOfADeletedSeriesGoWhereverItBrokeOff() throws {
        try kept.delivered()
        func reject(_ name: String) throws -> URL {
            let folder = kept.folder.rejected.appending(path: name)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data("x".utf8).write(to: folder.appending(path: "SEG.dcm"))
            return folder
        }
        let before = try reject("1")
        _ = try open(kept.folder, creating: true, logger: kept.receiver.bench.logger)
        #expect(FileManager.default.fileExists(atPath: before.path), "its series is there")
        try kept.store.noteUnneeded(at: 0)
        #expect(try kept.store.delete(by: RetentionRule([.delivered: 0]), at: 1, now: Date())?.folders == ["results/1", "rejected/1"])
        let renamed = try reject("1.part"), strange = try reject("2"), file = kept.folder.rejected.appending(path: "note")
        try Data("x".utf8).write(to: file)
        _ = try open(kept.folder, creating: true, logger: kept.receiver.bench.logger)
        #expect([before, renamed, strange, file].map { FileManager.default.fileExists(atPath: $0.path) } == [false, false, true, true])
    }

    @Test(arguments: [-365, 365]) func aWallClockThatIsSetDeletesNothingAndKeepsNothingForLonger(jump: Double) throws {
        try kept.delivered()
        try look()
        try look(after: 0.5, at: Date() + jump * 86400)
        #expect(try kept.receiver.kept().count == 5)
        try look(after: 1.1, at: Date() + jump * 86400)
        #expect(try kept.receiver.kept().isEmpty)
    }

    @Test func daysOfTheSettingsAreSecondsOfTheRuleAndZeroIsForEver() throws {
        let settings = try Bench("retention: {deliveredDays: 1, notContouredDays: 0, quarantinedDays: 0.5, failedDays: 90}").configuration.retention
        #expect(RetentionRule(settings) == RetentionRule([.delivered: 86400, .quarantined: 43200, .failed: 90 * 86400]))
        #expect(RetentionRule(try Bench().configuration.retention) == RetentionRule([:]))
    }

    @Test func serviceIsCountedOverTheRunsOfANode() throws {
        try kept.delivered()
        try look()
        try look(after: 0.6)
        let bench = kept.receiver.bench
        let next = KeepingService(store: kept.store, folder: kept.folder, watch: try bench.watch, rule: RetentionRule([.delivered: 86400]), logger: bench.logger)
        _ = try next.keep(at: Date() + 999 * 86400, steady: begun)
        _ = try next.keep(at: Date(), steady: begun + .seconds(0.3 * 86400))
        #expect(try kept.receiver.kept().count == 5)
        _ = try next.keep(at: Date(), steady: begun + .seconds(0.5 * 86400))
        #expect(try kept.receiver.kept().isEmpty)
    }

    @Test func nothingIsDeletedInAFolderThatIsNotTheNodes() throws {
        try kept.delivered()
        let root = kept.folder.root
        try FileManager.default.moveItem(at: root, to: root.appendingPathExtension("away"))
        try look()
        try look(after: 9)
        try FileManager.default.moveItem(at: root.appendingPathExtension("away"), to: root)
        #expect(try kept.receiver.kept().count == 5)
    }
}
