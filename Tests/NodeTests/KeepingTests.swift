import DICOMCore
import Foundation
import Logging
import NodeConfiguration
import NodeStore
import NodeTesting
import Synchronization
import Testing

@testable import Node

@Suite struct ResendTests {
    /// A CT slice, and what DCMTK's dcmodify makes of a copy of it.
    private func files(_ changes: [String]..., sop: String = "1.1") throws -> [String] {
        let folder = try Places.temporaryFolder("resend")
        let first = folder.appending(path: "0.dcm").path
        let dataSet = try Bench.dataSet(sop: sop)
        try dataSet.set(.specificCharacterSet, "ISO_IR 100")
        try dataSet.set(.patientBirthDate, "19700101")
        try dataSet.write(to: first)
        return [first] + (try changes.enumerated().map { index, change in
            let path = folder.appending(path: "\(index + 1).dcm").path
            try FileManager.default.copyItem(atPath: first, toPath: path)
            let result = try runTool("dcmodify", ["-nb", "-imt"] + change.flatMap { ["-i", $0] } + [path])
            #expect(result.status == 0, "\(result.output)")
            return path
        })
    }

    @Test func theSameFromAnyPeerIsOneFileAndOneJob() throws {
        let receiver = try Receiver()
        let path = try files()[0]
        #expect(try receiver.send([path, path]).status == 0)
        let store = receiver.bench.store
        let series = try #require(try store.seriesInProgress().first)
        _ = try store.complete(
            series: series.id, lastArrival: series.lastArrival, evidence: "{}", templateSet: "t", maximumAttempts: 1, at: Date())
        let dcmsend = try runTool("dcmsend", ["-aec", "MEDLSAM", "127.0.0.1", "\(receiver.port)", path])
        #expect(dcmsend.status == 0, "\(dcmsend.output)")
        let script = """
            import sys, pydicom, pynetdicom
            ds = pydicom.dcmread(sys.argv[1]); ae = pynetdicom.AE(); ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
            a = ae.associate("127.0.0.1", int(sys.argv[2])); print(hex(a.send_c_store(ds).Status)); a.release()
            """
        #expect(try runTool(Places.python, ["-c", script, path, "\(receiver.port)"]).output == "0x0\n")
        #expect(try receiver.kept() == ["1.1.dcm"])
        #expect(try store.jobs().count == 1 && store.seriesInProgress().isEmpty && store.conflicts().isEmpty)
        let row = try #require(try store.instances(withSOPInstanceUID: "1.1").first)
        #expect(receiver.bench.folder.condition(of: row) == .intact, "its size is that of the file now there")
    }

    @Test(arguments: [("keepLast", 2, "1"), ("keepFirst", 2, "0"), ("refuse", 1, "0")])
    func otherContentUnderTheSameUIDGoesByThePolicy(policy: String, files count: Int, current: String) throws {
        let receiver = try Receiver("receiving: {conflicts: \(policy)}")
        let paths = try files(["SeriesDescription=corrected"])
        #expect(try receiver.send([paths[0]]).status == 0)
        let second = try receiver.send([paths[1]])
        #expect((second.status == 0) == (policy != "refuse"), "\(second.output)")
        if policy == "refuse" { #expect(second.output.contains("0x0111") || second.output.contains("0x111") || second.output.contains("DuplicateSOPInstance"), "\(second.output)") }
        #expect(try receiver.kept().count == count)
        let versions = try receiver.bench.store.instances(withSOPInstanceUID: "1.1")
        #expect(versions.count == count)
        #expect(try versions[0].digest == dataSetDigest(ofFile: paths[Int(current)!]))
        let conflict = try #require(try receiver.bench.store.conflicts().first)
        #expect(try conflict.otherDigest == dataSetDigest(ofFile: paths[1]) && conflict.peer == "127.0.0.1")
        for version in versions { #expect(receiver.bench.folder.condition(of: version) == .intact) }
    }

    /// What dcmodify makes of the second series of a study, and whether that is of the same patient.
    @Test(arguments: [
        (["PatientName=Doe^Janet"], true), (["PatientName=DOE^JANE^^", "SpecificCharacterSet=ISO_IR 192"], true),
        (["PatientBirthDate=19700102"], true), (["IssuerOfPatientID=CITY"], true), (["PatientID=P2"], false), (["PatientID="], false),
        (["PatientName=Roe^Rita", "PatientBirthDate=19800101"], false),
    ])
    func aStudyHoldsOnePatient(changes: [String], isSame: Bool) throws {
        let receiver = try Receiver()
        let paths = try files(changes + ["SeriesInstanceUID=1.9", "SOPInstanceUID=1.77"])
        #expect(try receiver.send(paths).status == 0)
        #expect(try receiver.bench.store.quarantine().count == (isSame ? 0 : 1))
        #expect(try receiver.bench.store.seriesInProgress().count == (isSame ? 2 : 1))
    }

    @Test func oneNameInTwoCharacterSetsIsOneName() throws {
        func identity(_ name: String, _ conversion: [String] = []) throws -> PatientIdentity {
            let dataSet = try Bench.dataSet(sop: "1.1")
            dataSet.remove(.patientID)
            try dataSet.set(.specificCharacterSet, "ISO_IR 192")
            try dataSet.set(.patientName, name)
            let folder = try Places.temporaryFolder("names"), path = folder.appending(path: "a.dcm").path, converted = folder.appending(path: "b.dcm").path
            try dataSet.write(to: path)
            #expect(try runTool("dcmconv", conversion + [path, converted]).status == 0)
            return PatientIdentity(rawValue: patientDigest(of: try DataSet(contentsOf: converted)))
        }
        let latin = try identity("M\u{FC}ller^J\u{F6}rg", ["+L1"])
        #expect(latin.isSame(as: try identity("M\u{FC}ller^J\u{F6}rg")))
        #expect(!latin.isSame(as: try identity("Muller^Jorg")))
    }

    @Test func aQuarantinedSeriesThatIsReleasedMakesItsJob() throws {
        let receiver = try Receiver()
        let paths = try files(["PatientID=P2", "SeriesInstanceUID=1.9", "SOPInstanceUID=1.77"])
        _ = try receiver.send(paths)
        let store = receiver.bench.store
        let id = try #require(try store.quarantine().first).id
        try store.release(series: id, who: "jane", why: "RIS correction", refusal: contouringRefusal, at: Date())
        #expect(try store.seriesInProgress().map(\.seriesInstanceUID) == ["1.2", "1.9"])
    }
}

/// A disk of which a test says how much is free, and what was logged.
private final class FakeDisk: Sendable {
    let free = Mutex<(bytes: Int64, percent: Double)>((100 << 30, 90))
    let log = Mutex<[String]>([])

    struct Handler: LogHandler {
        let disk: FakeDisk
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? { get { nil } set {} }
        func log(event: LogEvent) { disk.log.withLock { $0.append("\(event.level): \(event.message)") } }
    }

    func watch(_ bench: Bench) throws -> FolderWatch {
        try FolderWatch(
            bench.folder, disk: bench.configuration.disk, minimum: bench.configuration.receiving.minimumFree,
            logger: Logger(label: "t", factory: { _ in Handler(disk: self) }), free: { [self] in free.withLock { $0 } })
    }

    func set(megabytes: Int64, percent: Double) { free.withLock { $0 = (megabytes << 20, percent) } }
}

@Suite struct FolderWatchTests {
    private let disk = FakeDisk()
    private static let settings = """
        receiving: {minimumFreeMegabytes: 100, minimumFreePercent: 1}
        disk: {warnMegabytes: 1000, warnPercent: 10, rejectMegabytes: 300, rejectPercent: 3, marginMegabytes: 50, marginPercent: 0.5}
        """

    @Test func eachWatermarkActsByBytesAndByPercentAndLetsGoBeyondTheMargin() throws {
        let watch = try disk.watch(Bench(Self.settings))
        for (megabytes, percent, associations, instances, logged) in [
            (2000, 50, true, true, 0), (999, 50, true, true, 1), (1020, 50, true, true, 1), (1051, 50, true, true, 2),
            (2000, 2.9, false, true, 4), (2000, 3.4, false, true, 4), (2000, 3.6, true, true, 5), (299, 50, false, true, 6),
            (99, 50, false, false, 7), (120, 50, false, false, 7), (151, 50, false, true, 8), (2000, 50, true, true, 10),
        ] as [(Int64, Double, Bool, Bool, Int)] {
            disk.set(megabytes: megabytes, percent: percent)
            let admission = watch.admission()
            #expect(admission == .init(associations: associations, instances: instances), "\(megabytes) MB, \(percent) %")
            #expect(disk.log.withLock(\.count) == logged, "\(megabytes) MB, \(percent) %: \(disk.log.withLock { $0 })")
        }
    }

    @Test func aZeroWatermarkIsNone() throws {
        let watch = try disk.watch(Bench("receiving: {minimumFreeMegabytes: 0, minimumFreePercent: 0}"))
        disk.set(megabytes: 0, percent: 0)
        #expect(watch.admission() == .init())
    }

    @Test func belowTheSecondWatermarkAssociationsAreRejectedAsTransient() throws {
        let receiver = try Receiver("disk: {rejectPercent: 100}")
        let sent = try receiver.send([receiver.file(Bench.dataSet(sop: "1.1"))])
        #expect(sent.status != 0 && sent.output.contains("Temporary Congestion") && sent.output.contains("Rejected Transient"), "\(sent.output)")
    }

    @Test func aFolderThatIsMovedAwayIsNotWrittenToAndRecoversWhenItIsBack() throws {
        let receiver = try Receiver("")
        let root = receiver.bench.folder.root, away = root.appendingPathExtension("away")
        let paths = try (1...4).map { try receiver.file(Bench.dataSet(sop: "1.\($0)")) }
        #expect(try receiver.send([paths[0]]).status == 0)
        let manager = FileManager.default
        try manager.moveItem(at: root, to: away)
        func refused(_ path: String) throws {
            let sent = try receiver.send([path])
            #expect(sent.output.lowercased().contains("a700") || sent.output.contains("OutOfResources"), "\(sent.output)")
        }
        try refused(paths[1])
        #expect(!manager.fileExists(atPath: root.path))
        // An empty mount point, or somebody else's folder.
        try manager.createDirectory(at: root, withIntermediateDirectories: false)
        try refused(paths[2])
        #expect(try manager.contentsOfDirectory(atPath: root.path).isEmpty)
        try manager.removeItem(at: root)
        try manager.moveItem(at: away, to: root)
        #expect(try receiver.send(Array(paths[1...])).status == 0)
        #expect(try receiver.kept().count == 4)
        for number in 1...4 {
            let row = try #require(try receiver.bench.store.instances(withSOPInstanceUID: "1.\(number)").first)
            #expect(receiver.bench.folder.condition(of: row) == .intact)
        }
    }

    @Test func aDatabaseThatWasExchangedEndsTheNode() throws {
        let bench = try Bench(), watch = try bench.watch
        try watch.demandOpenDatabase()
        let database = bench.folder.root.appending(path: "node.sqlite"), copy = bench.folder.root.appending(path: "copy")
        try FileManager.default.copyItem(at: database, to: copy)
        #expect(rename(copy.path, database.path) == 0)
        #expect(throws: NodeError.self) { try watch.demandOpenDatabase() }
    }
}

@Suite struct OpeningTests {
    private let bench: Bench
    init() throws { bench = try Bench() }

    private func opens(creating: Bool = true) throws { _ = try open(bench.folder, creating: creating, logger: bench.logger) }

    private func fails(creating: Bool = true, _ words: String) {
        #expect { try opens(creating: creating) } throws: {
            guard let error = $0 as? NodeError, error.code == .dataFolder, error.message.contains(words) else {
                Issue.record("\($0) does not say: \(words)")
                return false
            }
            return true
        }
    }

    @Test func aFolderThatIsGoneIsMissed() throws {
        try opens()
        try FileManager.default.moveItem(at: bench.folder.root, to: bench.folder.root.appendingPathExtension("away"))
        fails("is gone, although a node has run in it")
        #expect(!FileManager.default.fileExists(atPath: bench.folder.root.path))
        try FileManager.default.createDirectory(at: bench.folder.root, withIntermediateDirectories: false)
        fails("is not the data folder that a node has run in here")
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder.root.path).isEmpty)
        try FileManager.default.removeItem(at: bench.folder.note)
        try opens()
    }

    @Test func anotherNodesFolderIsNotTakenForOnesOwn() throws {
        try opens()
        let other = try Bench()
        try FileManager.default.moveItem(at: bench.folder.root, to: bench.folder.root.appendingPathExtension("away"))
        try FileManager.default.moveItem(at: other.folder.root, to: bench.folder.root)
        fails("is another data folder")
    }

    @Test func aFolderIsMadeOnlyWhereThatIsAllowed() throws {
        let root = try Places.temporaryFolder("none").appending(path: "data")
        #expect(throws: NodeError.self) { try DataFolder(root).claim(creating: false) }
        #expect(!FileManager.default.fileExists(atPath: root.path))
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        #expect(throws: NodeError.self) { try DataFolder(root).claim(creating: false) }
        _ = try open(DataFolder(root), creating: true, logger: bench.logger)
        _ = try open(DataFolder(root), creating: false, logger: bench.logger)
    }

    @Test func aFileInPlaceOfTheFolderIsAClearError() throws {
        try FileManager.default.removeItem(at: bench.folder.root)
        try Data("x".utf8).write(to: bench.folder.root)
        fails("is no folder")
    }

    @Test(arguments: [true, false])
    func aDatabaseThatIsGoneIsAClearErrorAndNothingIsMoved(empty: Bool) throws {
        try opens()
        let database = bench.folder.root.appending(path: "node.sqlite")
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: database.path + suffix) }
        if empty { try Data().write(to: database) }
        fails("is gone or empty")
    }

    @Test func aSymbolicLinkToTheFolderIsAsGoodAsTheFolder() throws {
        let link = bench.folder.root.appendingPathExtension("link")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: bench.folder.root)
        _ = try open(DataFolder(link), creating: false, logger: bench.logger)
        try FileManager.default.removeItem(at: link)
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: URL(fileURLWithPath: "/nowhere"))
        #expect(throws: NodeError.self) { _ = try open(DataFolder(link), creating: true, logger: bench.logger) }
    }

    @Test func whatWasNotWholeAtAPowerCutIsPutAsideAndTakenAgain() throws {
        let receiver = try Receiver()
        let path = try receiver.file(Bench.dataSet(sop: "1.1"))
        #expect(try receiver.send([path]).status == 0)
        let (folder, store) = (receiver.bench.folder, receiver.bench.store)
        // As a cut between row and bytes leaves it: the association open, the file of full length and half empty.
        _ = try runTool("sqlite3", [folder.root.appending(path: "node.sqlite").path, "UPDATE association SET ended = NULL, ending = NULL"])
        let file = folder.instances.appending(path: "1.2/1.1.dcm")
        var bytes = try Data(contentsOf: file)
        bytes.replaceSubrange(bytes.count - 40..<bytes.count, with: Data(count: 40))
        try bytes.write(to: file)
        _ = try open(folder, creating: true, logger: receiver.bench.logger)
        #expect(try store.instances(withSOPInstanceUID: "1.1").map(\.state) == [.missing])
        #expect(FileManager.default.fileExists(atPath: folder.unrecorded.appending(path: "instances/1.2/1.1.dcm").path))
        #expect(try Receiver(on: receiver.bench).send([path]).status == 0)
        let row = try #require(try store.instances(withSOPInstanceUID: "1.1").first)
        #expect(row.state == .current && folder.condition(of: row) == .intact)
    }

    @Test func filesWithoutRowsAreNeverPutOverOneAnother() throws {
        try opens()
        for content in ["one", "two"] {
            try FileManager.default.createDirectory(at: bench.folder.instances.appending(path: "1.2"), withIntermediateDirectories: true)
            try Data(content.utf8).write(to: bench.folder.instances.appending(path: "1.2/1.1.dcm"))
            try opens()
        }
        let aside = bench.folder.unrecorded.appending(path: "instances/1.2")
        #expect(try FileManager.default.contentsOfDirectory(atPath: aside.path).sorted() == ["1.1.dcm", "1.1.dcm.2"])
        #expect(!FileManager.default.fileExists(atPath: bench.folder.instances.appending(path: "1.2").path), "an empty folder goes")
    }

    @Test func aFileWhereAFolderShouldBeDoesNotKeepTheNodeFromStarting() throws {
        try opens()
        try Data("x".utf8).write(to: bench.folder.instances.appending(path: "stray"))
        try opens()
        #expect(FileManager.default.fileExists(atPath: bench.folder.unrecorded.appending(path: "instances/stray").path))
    }
}
