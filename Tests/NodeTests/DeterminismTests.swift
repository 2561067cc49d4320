import DICOMCore
import DICOMImaging
import Foundation
import NodeTesting
import Testing

@testable import Node

/// Every kind of object, made by the job's own way with an engine that is no network. That processes agree, networks and all, is tried in
/// JourneyTests.
@Suite struct DeterminismTests {
    private let paths: [String]
    private let specifications: [ResultSpecification] = [
        .segmentation(.init()), .segmentation(.init(form: .labelmap)), .segmentation(.init(form: .fractional)), .structureSet(.init()),
        .overlay(.init()), .overlay(.init(windowWidth: 300)), .summary(.init()), .document(.init()),
        .measurements(.init(), of: .init()), .measurements(.init(), of: .init(form: .labelmap)), .measurements(.init(), of: nil),
    ]

    init() throws { paths = try FakeEngine.series(in: Places.temporaryFolder("series")) }

    private func run(at date: Date, _ paths: [String]? = nil, replacing old: URL? = nil) throws -> URL {
        let output = try Places.temporaryFolder("output")
        let replaces = try old.map { folder in
            try NodeJSON.decode(JobReport.self, from: String(contentsOf: folder.appending(path: "report.json"), encoding: .utf8)).objects.map { object in
                let dataSet = try DataSet(contentsOf: folder.appending(path: object.file).path)
                return ReplacedObject(
                    kind: ResultKind(rawValue: object.kind)!, specification: specifications[object.specification!],
                    sopClassUID: dataSet.uid(.sopClassUID)!, sopInstanceUID: dataSet.uid(.sopInstanceUID)!, seriesInstanceUID: dataSet.uid(.seriesInstanceUID)!)
            }
        }
        let job = ContouringJob(
            engine: FakeEngine(), deviceSerialNumber: "TEST", contentDate: date, specifications: specifications, replaces: replaces ?? [])
        _ = try job.run(paths: paths ?? self.paths, output: output)
        return output
    }

    private func objects(_ folder: URL) throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".dcm") }
        return try Dictionary(uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: folder.appending(path: $0))) })
    }

    private func judge(_ name: String, _ folders: URL...) throws {
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/\(name).py").path] + folders.map(\.path))
        #expect(verdict.status == 0, "\(verdict.output)")
    }

    @Test func theSameMomentGivesTheSameBytesInWhateverOrderTheFilesCome() throws {
        let now = Date(), one = try objects(run(at: now)), two = try objects(run(at: now, paths.reversed()))
        #expect(Set(one.keys) == Set(two.keys) && one.count >= specifications.count)
        for (name, bytes) in one { #expect(two[name] == bytes, "\(name)") }
    }

    @Test func anotherMomentChangesDatesAndTimesAlone() throws {
        let now = Date()
        try judge("determinism", run(at: now), run(at: now - 100_000))
    }

    @Test func everyObjectRefersToTheOneThatItReplaces() throws {
        let old = try run(at: Date())
        try judge("supersedes", old, run(at: Date(), replacing: old))
    }
}
