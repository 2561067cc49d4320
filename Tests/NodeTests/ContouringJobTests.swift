import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import NodeConfiguration
import NodeTesting
import Testing

@testable import MedLSAM
@testable import Node
@testable import NodeStore

private let generic: [ResultSpecification] = [.segmentation(.init()), .structureSet(.init())]

/// Finds a block in the middle of any volume, and no other structure.
struct FakeEngine: ContouringEngine {
    var method = ContouringMethod()
    let templateSet = "fake", templateSetVersion = "1"
    let models = [ResultContext.Model(name: "fake", version: "1", digest: "00")]
    var findsNothing = false

    /// Writes six slices into a folder.
    static func series(in folder: URL) throws -> [String] {
        try (1...6).map { k in
            let path = folder.appending(path: "\(k).dcm").path
            try Bench.dataSet(sop: "1.1.\(k)", z: Double(k)).write(to: path)
            return path
        }
    }

    func contour(
        _ volume: Volume, seed: UInt64, progress: @escaping @Sendable (ContouringStage, Double) -> Void
    ) throws -> [StructureOutcome] {
        progress(.localising, 0)
        progress(.segmenting, 0.5)
        var voxels = [UInt8](repeating: 0, count: volume.voxels.count)
        let size = volume.geometry.size
        for z in 2..<5 { for y in 1..<3 { for x in 1..<3 { voxels[(z * size.y + y) * size.x + x] = 1 } } }
        let definitions = StructureDefinition.headNeck
        let found = StructureOutcome(
            definition: definitions[0], state: .segmented, confidence: 0.9, mask: Mask(geometry: volume.geometry, voxels: voxels), boxLPS: nil)
        let rest = [
            StructureOutcome(definition: definitions[1], state: .notInFieldOfView, confidence: nil, mask: nil, boxLPS: nil),
            StructureOutcome(definition: definitions[2], state: .withheld(reason: "the networks disagree"), confidence: 0.1, mask: nil, boxLPS: nil),
        ]
        return (findsNothing ? [] : [found]) + rest
    }
}

@Suite struct ContouringJobTests {
    private let paths: [String]

    init() throws { paths = try FakeEngine.series(in: Places.temporaryFolder("series")) }

    private func run(_ engine: FakeEngine = FakeEngine(), at date: Date = Date()) throws -> (JobReport, URL) {
        let output = try Places.temporaryFolder("output")
        let job = ContouringJob(engine: engine, deviceSerialNumber: "TEST", contentDate: date, specifications: generic)
        return (try job.run(paths: paths, output: output), output)
    }

    @Test func aSeriesInFilesBecomesASegmentationAndAStructureSetInFiles() throws {
        let (report, output) = try run()
        #expect(report.objects.map(\.file) == ["SEG.dcm", "RTSTRUCT.dcm"])
        #expect(report.structures.map(\.state) == [.segmented, .notInFieldOfView, .withheld])
        #expect(report.structures[0].volumeMillilitres == 0.012 && report.structures[2].reason == "the networks disagree")
        #expect(report.stages.map(\.name) == ["reading", "localising", "segmenting", "writing"])
        #expect(report.slices == 6 && report.peakMemoryMegabytes > 1 && report.withheldReason == nil)
        try ObjectCheck(sourcePaths: paths).verify(report.objects.map {
            .init(path: output.appending(path: $0.file).path, kind: ResultKind(rawValue: $0.kind)!, sopClassUID: $0.sopClassUID, sopInstanceUID: $0.sopInstanceUID)
        })
        #expect(try NodeJSON.decode(JobReport.self, from: String(contentsOf: output.appending(path: "report.json"), encoding: .utf8)).slices == 6)
        #expect(try Data(contentsOf: output.appending(path: "overlay.png")).starts(with: [0x89, 0x50, 0x4E, 0x47]))
        let masks = try StructureSetReader.masks(
            in: DataSet(contentsOf: output.appending(path: "RTSTRUCT.dcm").path), geometry: CTSeries.read(paths: paths).volume.geometry)
        #expect(masks.count == 1 && masks.values.first?.count == 12)
    }

    @Test func theSameInputGivesTheSameUIDsAtAnotherTime() throws {
        let (one, _) = try run()
        let (two, _) = try run(at: Date() + 1000)
        #expect(one.objects.map(\.sopInstanceUID) == two.objects.map(\.sopInstanceUID))
    }

    @Test func whereNothingIsSegmentedThereAreNoObjectsButReasons() throws {
        let (report, output) = try run(FakeEngine(findsNothing: true))
        #expect(report.objects.isEmpty)
        #expect(report.withheldReason?.contains("the networks disagree") == true && report.withheldReason?.contains("not in the field of view") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: output.path).sorted() == ["overlay.png", "report.json"])
    }

    @Test func aWorkerSaysWhetherTryingAgainCouldHelp() throws {
        func answer(_ inputs: [String], engine: () throws -> any ContouringEngine = { FakeEngine() }) throws -> WorkerMessage {
            let folders = ModelFolders(try Bench().configuration.models)
            return Worker.answer(
                to: WorkerRequest(
                    inputs: inputs, output: try Places.temporaryFolder("output").path, templateSet: "fake", method: ContouringMethod(), models: folders, threads: 1,
                    deviceSerialNumber: "TEST", contentDate: Date(), specifications: generic, replaces: []),
                engine: { _ in try engine() }, progress: { _, _ in })
        }
        guard case .finished = try answer(paths) else { Issue.record("not finished"); return }
        guard case .refused(let gap) = try answer(Array(paths[...2] + paths[4...])) else { Issue.record("not refused"); return }
        #expect(gap.contains("1.2"))
        let stranger = try Bench.dataSet(sop: "1.1.3", patient: "P2", z: 3)
        try stranger.write(to: paths[2])
        guard case .refused(let mixed) = try answer(paths) else { Issue.record("not refused"); return }
        #expect(mixed == "Series 1.2 rejected: instance 1.1.1 and instance 1.1.3 differ in PatientID (0010,0020).")
        try Data("not DICOM".utf8).write(to: URL(fileURLWithPath: paths[0]))
        guard case .failed = try answer(paths) else { Issue.record("not failed"); return }
        guard case .stumbled = try answer(paths, engine: { throw POSIXError(.ENOSPC) }) else { Issue.record("not stumbled"); return }
        let bench = try Bench()
        guard case .failed(let missing) = Worker.answer(
            to: WorkerRequest(
                inputs: paths, output: "/nowhere", templateSet: "head-neck", method: ContouringMethod(), models: ModelFolders(bench.configuration.models), threads: 1,
                deviceSerialNumber: "TEST", contentDate: Date(), specifications: generic, replaces: []), progress: { _, _ in })
        else { Issue.record("not failed"); return }
        #expect(missing.contains("no weights"), "\(missing)")
    }

    @Test func everyMethodOfTheSettingsIsOneThatMedLSAMHas() throws {
        // All but the one that evaluation brings its own places for.
        #expect(Configuration.Contouring.Localiser.allCases.map(\.rawValue) == LocaliserChoice.allCases.filter { $0 != .given }.map(\.rawValue))
        #expect(Set(Configuration.Contouring.Segmenter.allCases.map(\.rawValue)) == Set(SegmenterChoice.allCases.map(\.rawValue)))
        let chosen = try Bench("contouring: {localiser: registration, segmenter: shape}").configuration.contouring
        #expect(ContouringMethod(chosen) == ContouringMethod(localiser: .registration, segmenter: .shape))
    }

    @Test func everyResultSaysWhichMethodMadeItAndAnotherMethodMakesAnotherObject() throws {
        let (report, output) = try run()
        let file = output.appending(path: "SEG.dcm").path
        #expect(report.method == ContouringMethod())
        let item = try #require(try DataSet(contentsOf: file).items(.segmentSequence).first?.items(.segmentationAlgorithmIdentificationSequence).first)
        #expect(item.string(.algorithmParameters)?.contains("localiser medlam, segmenter trained") == true)
        #expect(try DataSet(contentsOf: output.appending(path: "RTSTRUCT.dcm").path).string(.structureSetDescription)?.contains("localiser medlam") == true)
        let (other, _) = try run(FakeEngine(method: ContouringMethod(segmenter: .shape)))
        #expect(other.objects.map(\.sopInstanceUID) != report.objects.map(\.sopInstanceUID))
    }
}
