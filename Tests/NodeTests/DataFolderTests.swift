import DICOMCore
import Foundation
import NodeTesting
import Testing

@testable import Node

@Suite struct DataFolderTests {
    private let bench: Bench
    init() throws { bench = try Bench() }

    private func incoming(_ content: String) throws -> String {
        let path = bench.folder.newIncomingFile()
        try Data(content.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func content(_ path: String) throws -> String { try String(contentsOf: bench.folder.root.appending(path: path), encoding: .utf8) }

    @Test func aFileNeverTakesThePlaceOfAnother() throws {
        let first = try bench.folder.place(incoming("one"), series: "1.2", sop: "1.1", digest: String(repeating: "a", count: 64))
        #expect(first.path == "instances/1.2/1.1.dcm")
        #expect(first.folders.map { ($0 as NSString).lastPathComponent } == ["1.2", "instances"])
        let second = try bench.folder.place(incoming("two"), series: "1.2", sop: "1.1", digest: String(repeating: "b", count: 64))
        #expect(second.path == "instances/1.2/1.1.bbbbbbbbbbbbbbbb.dcm")
        #expect(try content(first.path) == "one" && content(second.path) == "two")
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder.incoming.path).isEmpty)
    }

    @Test func halfFilesAndHalfResultsGoAtTheStart() throws {
        _ = try incoming("half")
        try FileManager.default.createDirectory(at: bench.folder.results.appending(path: "7.part"), withIntermediateDirectories: true)
        try FileManager.default.createDirectory(at: bench.folder.results.appending(path: "6"), withIntermediateDirectories: true)
        #expect(try bench.folder.removeHalfFiles() == 2)
        #expect(try FileManager.default.contentsOfDirectory(atPath: bench.folder.results.path) == ["6"])
    }

    @Test func aSecondNodeIsKeptOffTheFolder() throws {
        do {
            let lock = try DataFolderLock(bench.folder)
            #expect(throws: NodeError.self) { try DataFolderLock(bench.folder) }
            withExtendedLifetime(lock) {}
        }
        let other = try runTool("flock", ["-n", bench.folder.root.appending(path: "lock").path, "true"])
        #expect(other.status == 0, "the lock is let go of with its owner")
    }

    @Test func aFolderWhoseNumberCannotBeReadGetsNoOther() throws {
        let identity = bench.folder.root.appending(path: "identity"), number = try bench.folder.identity(), noted = try Data(contentsOf: bench.folder.note)
        try FileManager.default.removeItem(at: identity)
        try FileManager.default.createDirectory(at: identity, withIntermediateDirectories: true)  // there, and no file that can be read
        #expect(throws: NodeError.self) { try bench.folder.identity() }
        #expect(throws: NodeError.self) { try bench.folder.claim(creating: true) }
        #expect(throws: NodeError.self) { try bench.folder.identify() }
        #expect(try number != nil && Data(contentsOf: bench.folder.note) == noted)
    }

    @Test func theDigestIsOfTheDataSetAlone() throws {
        let paths = ["a", "b"].map { bench.folder.root.appending(path: "\($0).dcm").path }
        try Bench.dataSet(sop: "1.1").write(to: paths[0])
        // Other file meta information round the same data set: DCMTK's own instead of ours.
        try runTool("dcmconv", ["+F", paths[0], paths[1]])
        #expect(try Data(contentsOf: URL(fileURLWithPath: paths[0])) != Data(contentsOf: URL(fileURLWithPath: paths[1])))
        #expect(try dataSetDigest(ofFile: paths[0]) == dataSetDigest(ofFile: paths[1]))
        try runTool("dcmconv", ["-F", paths[0], paths[1]])
        let sum = try runTool("sha256sum", [paths[1]]).output.prefix(64)
        #expect(try dataSetDigest(ofFile: paths[0]) == sum)
    }

    @Test func spellingDoesNotMakeAnotherPatient() throws {
        let one = try Bench.dataSet(sop: "1.1")
        let two = try Bench.dataSet(sop: "1.2")
        try two.set(.patientName, "DOE^JANE^^")
        #expect(patientDigest(of: one) == patientDigest(of: two))
        try two.set(.patientName, "Doe^John")
        #expect(patientDigest(of: one) != patientDigest(of: two))
    }
}
