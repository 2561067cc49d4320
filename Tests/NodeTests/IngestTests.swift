import DICOMCore
import DICOMNetwork
import Foundation
import NodeConfiguration
import NodeStore
import NodeTesting
import Testing

@testable import Node

/// A node's receiving side on a port of its own, and DCMTK's storescu to send to it.
final class Receiver {
    let bench: Bench
    let port: Int
    private let provider: StorageSCP
    private let sources: URL

    convenience init(_ settings: String = "") throws { try self.init(on: Bench(settings)) }

    init(on bench: Bench) throws {
        self.bench = bench
        let ingest = try Ingest(
            folder: bench.folder, store: bench.store, watch: try bench.watch, conflicts: ConflictPolicy(bench.configuration.receiving.conflicts),
            logger: bench.logger, arrived: {})
        provider = StorageSCP(configuration: .init(address: "127.0.0.1", port: 0), handler: ingest, logger: bench.logger)
        port = try provider.start()
        sources = try Places.temporaryFolder("sources")
    }

    deinit { provider.stop() }

    /// A file to send.
    func file(_ dataSet: DataSet) throws -> String {
        let path = sources.appending(path: "\(UUID().uuidString).dcm").path
        try dataSet.write(to: path)
        return path
    }

    /// What storescu says about sending files over one association; `port` may be that of a process in between.
    func send(_ files: [String]) throws -> ToolResult {
        try runTool("storescu", ["-v", "-aec", "MEDLSAM", "127.0.0.1", "\(port)"] + files)
    }

    /// The files kept, without folders.
    func kept() throws -> [String] { try bench.folder.instanceFiles().map { ($0 as NSString).lastPathComponent }.sorted() }
}

@Suite struct IngestTests {
    @Test func anInstanceIsKeptAsItCameAndRecorded() throws {
        let receiver = try Receiver()
        let path = try receiver.file(Bench.dataSet(sop: "1.1"))
        #expect(try receiver.send([path]).status == 0)
        #expect(try receiver.kept() == ["1.1.dcm"])
        #expect(try dataSetDigest(ofFile: path) == dataSetDigest(ofFile: receiver.bench.folder.instances.appending(path: "1.2/1.1.dcm").path))
        let series = try #require(try receiver.bench.store.seriesInProgress().first)
        #expect(series.seriesInstanceUID == "1.2" && series.openAssociations == 0 && series.lastEnding == .released)
        #expect(try halfFiles(in: receiver.bench.folder.incoming).isEmpty)
    }

    /// Small files, blocks of 128 KB exactly or not, and pixel data that begin after what is kept in memory (an ICC profile before them).
    @Test(arguments: [(0, 32), (100, 262_144), (100_000, 300_000), (1_000_000, 32)])
    func whatIsOnDiskIsWhatTheDigestSays(profile: Int, pixels: Int) throws {
        let receiver = try Receiver()
        let dataSet = try Bench.dataSet(sop: "1.1")
        let bytes = (0..<max(profile, pixels)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        if profile > 0 { try dataSet.set(Tag(0x0028, 0x2000), bytes: Array(bytes.prefix(profile))) }
        try dataSet.set(.pixelData, bytes: Array(bytes.prefix(pixels)))
        let path = try receiver.file(dataSet)
        #expect(try receiver.send([path]).status == 0)
        let instance = try #require(try receiver.bench.store.instances(withSOPInstanceUID: "1.1").first)
        #expect(try instance.digest == dataSetDigest(ofFile: path))
        #expect(receiver.bench.folder.condition(of: instance) == .intact)
    }

    @Test func theSameAgainIsSuccessWithoutASecondFile() throws {
        let receiver = try Receiver()
        let path = try receiver.file(Bench.dataSet(sop: "1.1"))
        #expect(try receiver.send([path, path]).status == 0)
        #expect(try receiver.kept() == ["1.1.dcm"])
    }

    @Test func otherContentUnderTheSameUIDIsKeptBeside() throws {
        let receiver = try Receiver()
        let other = try Bench.dataSet(sop: "1.1")
        try other.set(.seriesDescription, "corrected")
        #expect(try receiver.send([receiver.file(Bench.dataSet(sop: "1.1")), receiver.file(other)]).status == 0)
        #expect(try receiver.kept().count == 2)
    }

    @Test func anotherPatientUnderTheSameStudyIsTakenButKeptApart() throws {
        let receiver = try Receiver()
        let paths = try ["P1", "P2"].enumerated().map { try receiver.file(Bench.dataSet(sop: "1.\($0 + 1)", patient: $1)) }
        #expect(try receiver.send(paths).status == 0)
        #expect(try receiver.kept().count == 2)
        #expect(try receiver.bench.store.headers(ofSeries: 1).count == 1)
        #expect(try receiver.bench.store.jobs().first?.reason?.hasPrefix("Quarantined") == true)
    }

    @Test func whatIsNotCTIsTakenAndShownWithTheReason() throws {
        let receiver = try Receiver()
        #expect(try receiver.send([receiver.file(Bench.dataSet(sop: "1.1", sopClass: SOPClass.mrImageStorage))]).status == 0)
        let job = try #require(try receiver.bench.store.jobs().first)
        #expect(job.state == .refused && job.reason!.contains("1.2.840.10008.5.1.4.1.1.4"))
    }

    @Test func aDataSetWithoutASeriesIsRefused() throws {
        let receiver = try Receiver()
        let dataSet = try Bench.dataSet(sop: "1.1")
        dataSet.remove(.seriesInstanceUID)
        let sent = try receiver.send([receiver.file(dataSet)])
        #expect(sent.output.contains("0xc000") || sent.status != 0, "\(sent.output)")
        #expect(try receiver.kept().isEmpty)
        #expect(try halfFiles(in: receiver.bench.folder.incoming).isEmpty)
    }

    @Test func aFullDiskIsAnsweredOutOfResources() throws {
        let receiver = try Receiver("receiving: {minimumFreePercent: 100}")
        let sent = try receiver.send([receiver.file(Bench.dataSet(sop: "1.1"))])
        #expect(sent.output.lowercased().contains("a700") || sent.output.contains("OutOfResources"), "\(sent.output)")
        #expect(try receiver.kept().isEmpty)
    }

    @Test func manySendersAtOnceLoseNothing() async throws {
        let receiver = try Receiver()
        let (senders, each) = (6, 20)
        let files = try (0..<senders).map { sender in
            try (0..<each).map { try receiver.file(Bench.dataSet(sop: "1.\(sender + 1).\($0)")) }
        }
        let port = receiver.port
        try await withThrowingTaskGroup(of: Void.self) { group in
            for paths in files {
                group.addTask {
                    try await onOwnThread("send") {
                        let sent = try runTool("storescu", ["-aec", "MEDLSAM", "127.0.0.1", "\(port)"] + paths)
                        #expect(sent.status == 0, "\(sent.output)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try receiver.kept().count == senders * each)
        #expect(try receiver.bench.store.headers(ofSeries: 1).count == senders * each)
    }
}

@Suite struct NetworkDeliveryTests {
    /// A node with a SEG in its outbox for an archive on that port.
    private func bench(port: Int) throws -> (Bench, DeliveryService) {
        let bench = try Bench("destinations: [{name: archive, aeTitle: ARCHIVE, host: 127.0.0.1, port: \(port)}]")
        let id = try bench.queueJob()
        _ = try bench.store.claimJob(alive: [], at: Date())
        let result = NewResult(
            kind: "SEG", sopClassUID: SOPClass.segmentationStorage.string, sopInstanceUID: "1.5", path: "results/SEG.dcm")
        try Bench.dataSet(sop: "1.5", sopClass: SOPClass.segmentationStorage).write(to: bench.folder.root.appending(path: result.path).path)
        try bench.store.finish(job: id, .succeeded(results: [result], deliveries: every([result], to: ["archive"]), report: "{}"), at: Date())
        let service = DeliveryService(
            store: bench.store, folder: bench.folder, configuration: bench.configuration, send: DeliveryService.network(bench.configuration),
            alarms: [Alarm()], logger: bench.logger)
        return (bench, service)
    }

    @Test func anArchiveGetsTheObject() throws {
        let archive = try Receiver()
        let (bench, service) = try bench(port: archive.port)
        _ = try service.deliver(to: bench.configuration.destinations[0], at: Date())
        #expect(try bench.store.job(1).deliveries.map(\.state) == [.sent])
        #expect(try archive.kept() == ["1.5.dcm"])
    }

    @Test func aFullArchiveAndAClosedPortAreTriedAgain() throws {
        let full = try Receiver("receiving: {minimumFreePercent: 100}")
        for (port, status) in [(full.port, 0xA700), (1, nil)] {
            let (bench, service) = try bench(port: port)
            let next = try service.deliver(to: bench.configuration.destinations[0], at: Date())
            let delivery = try #require(try bench.store.job(1).deliveries.first)
            #expect(delivery.state == .pending && delivery.lastStatus == status && next! > Date(), "\(delivery)")
        }
    }
}
