import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// Objects made from given masks say who made these, and never that MedLSAM did.
@Suite struct AuthorshipTests {
    private let geometry = ResultFixture.geometry(30, 30, 9)

    private func objects(_ author: Authorship, digest: String = "ab") throws -> [ResultObject] {
        let series = ResultFixture.series(geometry)
        var segment = ResultFixture.segment("Parotid_L", ResultFixture.ellipsoid(geometry, center: [0.5, 0.5, 0.5], radiusMM: 8))
        segment.author = author
        segment.confidence = nil
        let context = ResultContext(softwareVersion: "0.1.0", conversion: Conversion(origin: "Masks of an atlas", digest: digest),
                                    deviceSerialNumber: "MEDLSAM", contentDate: Date(timeIntervalSince1970: 1_790_000_000))
        let contoured = try ContouredSeries(segments: [segment], series: series, source: ResultFixture.source(), context: context)
        return [try SegmentationWriter.make(contoured), try StructureSetWriter.make(contoured)]
    }

    @Test(arguments: [Authorship(method: .manual), Authorship(method: .semiautomatic, name: "Level tracing 5"), Authorship(
        method: .automatic, name: "Atlas 2", algorithm: .init(family: CodedConcept(value: "123103", scheme: "DCM", meaning: "Region growing"), name: "Atlas", version: "2"))])
    func givenMasksAreNotOurs(_ author: Authorship) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try objects(author)
        for object in made {
            let path = folder.appending(path: "object.dcm").path
            try object.write(to: path)
            #expect(try ResultFixture.complaints(about: path).filter { $0.hasPrefix("Error") } == [])
            let dump = try runTool("dcmdump", ["+L", path]).output
            #expect(!dump.contains("MedLSAM") && !dump.contains("Template set") && !dump.contains("not reviewed"), "\(dump)")
            #expect(dump.contains("CONVERTED"))
        }
        let segment = made[0].dataSet.items(.segmentSequence)[0], roi = made[1].dataSet.items(.structureSetROISequence)[0]
        #expect(segment.string(.segmentAlgorithmType) == author.method.rawValue && roi.string(.roiGenerationAlgorithm) == author.method.rawValue)
        #expect(segment.string(.segmentAlgorithmName) == author.name)
        #expect(segment.items(.segmentationAlgorithmIdentificationSequence).first?.string(.algorithmName) == author.algorithm?.name)
        #expect(made[1].dataSet.string(.structureSetDescription)?.contains("Masks of an atlas; converted by medlsam-node 0.1.0") == true)
    }

    @Test func otherMasksGiveOtherUIDs() throws {
        let author = Authorship(method: .manual)
        #expect(try objects(author).map(\.sopInstanceUID) == objects(author).map(\.sopInstanceUID))
        #expect(Set(try (objects(author) + objects(author, digest: "cd")).map(\.sopInstanceUID)).count == 4)
    }

    @Test func aMaskOnTheSlicesIsWrittenAsItIs() throws {
        let grid = SourceGrid(columns: 8, rows: 8, pixelSpacingMM: [1, 1], columnIndexDirection: [1, 0, 0], rowIndexDirection: [0, 1, 0],
                              originsLPS: [[0, 0, 0], [0.3, 0, 2], [0.6, 0, 7], [0.9, 0, 8]])!
        var series = ResultFixture.series(grid.working)
        series.grid = grid
        series.frames = Array(series.frames.prefix(4))
        var random = Seeded(7)
        let mask = SourceMask(grid: grid, voxels: (0..<grid.count).map { _ in UInt8.random(in: 0...1, using: &random) })
        var segment = ResultFixture.segment("Parotid_L", grid.workingMask(mask))
        segment.sourceMask = mask
        let contoured = try ContouredSeries(segments: [segment], series: series, source: ResultFixture.source(), context: ResultFixture.context)
        #expect(contoured.drawings[0].mask?.voxels == mask.voxels)
        segment.sourceMask = SourceMask(grid: SourceGrid(grid.working), voxels: segment.mask!.voxels)
        #expect(throws: ImagingError.self) { try ContouredSeries(segments: [segment], series: series, source: ResultFixture.source(), context: ResultFixture.context) }
    }
}
