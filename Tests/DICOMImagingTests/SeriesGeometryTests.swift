import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// Stacks as scanners leave them: in every direction, tilted, uneven; their results judged by outside toolkits.
@Suite struct SeriesGeometryTests {
    /// A phantom that fills its slices whatever their direction.
    private static func phantom(_ a: SIMD3<Double>, _ b: SIMD3<Double>, name: String, lean: SIMD2<Double> = .zero, heights: [Double]? = nil) -> Phantom {
        let slices = heights?.count ?? 40
        var phantom = Phantom(name: name, columns: 52, rows: 60, slices: slices, spacingMM: [4, 3.5, (heights?.last ?? 200) / Double(slices - 1)],
                              columnIndexDirection: a, rowIndexDirection: b)
        // Leaning slices stay centred as a whole.
        let middle = phantom.positionLPS(25.5, 29.5, slice: slices - 1) / 2 + phantom.positionLPS(25.5, 29.5, slice: 0) / 2
        (phantom.lean, phantom.heightsMM) = (lean, heights)
        let now = phantom.positionLPS(25.5, 29.5, slice: slices - 1) / 2 + phantom.positionLPS(25.5, 29.5, slice: 0) / 2
        let g = phantom.geometry
        phantom.geometry = VolumeGeometry(size: g.size, spacingMM: g.spacingMM, originLPS: g.originLPS + middle - now,
                                          columnIndexDirection: g.columnIndexDirection, rowIndexDirection: g.rowIndexDirection)
        return phantom
    }

    /// The directions that patients lie and are cut in (PS3.3 C.7.3.1.1.2), and oblique ones.
    private static let directions: [(name: String, a: SIMD3<Double>, b: SIMD3<Double>)] = [
        ("axial-supine", [1, 0, 0], [0, 1, 0]), ("axial-prone", [-1, 0, 0], [0, -1, 0]), ("axial-from-above", [-1, 0, 0], [0, 1, 0]),
        ("axial-upside-down", [1, 0, 0], [0, -1, 0]), ("decubitus-left", [0, 1, 0], [-1, 0, 0]), ("decubitus-right", [0, -1, 0], [1, 0, 0]),
        ("sagittal", [0, 1, 0], [0, 0, -1]), ("sagittal-turned", [0, -1, 0], [0, 0, -1]), ("coronal", [1, 0, 0], [0, 0, -1]),
        ("coronal-feet-up", [1, 0, 0], [0, 0, 1]), ("oblique", [0.8, 0.6, 0], [-0.6, 0.8, 0]), ("double-oblique", [0.8, 0.48, 0.36], [-0.6, 0.64, 0.48]),
    ]

    /// What is of 300 HU in the volume, as a structure.
    private func block(_ volume: Volume, range: ClosedRange<Int16>) -> ResultSegment {
        ResultFixture.segment("Parotid_L", Mask(geometry: volume.geometry, voxels: volume.voxels.map { range.contains($0) ? 1 : 0 }))
    }

    /// Writes SEG and RTSTRUCT of a mask beside its series.
    private func write(_ segment: ResultSegment, of series: CTSeries, into folder: URL) throws {
        let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
        try SegmentationWriter.make(segments: [segment], series: series, source: source, context: ResultFixture.context).write(to: folder.appending(path: "SEG.dcm").path)
        try StructureSetWriter.make(segments: [segment], series: series, source: source, context: ResultFixture.context).write(to: folder.appending(path: "RTSTRUCT.dcm").path)
    }

    private static let judge = Places.repository.appending(path: "Tests/Judges/geometry.py").path

    /// The judge's words on each folder: seg and rtstruct are Dice with the source's own pixels.
    private func judged(_ folders: [URL]) throws -> [(name: String, seg: Double, rtstruct: Double, rest: String)] {
        let result = try runTool(Places.python, [Self.judge] + folders.map(\.path))
        try #require(result.status == 0, "\(result.output)")
        var verdicts: [(name: String, seg: Double, rtstruct: Double, rest: String)] = []
        for line in result.output.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 9, words[1] == "seg", let seg = Double(words[2]), let rtstruct = Double(words[4]) else { continue }
            verdicts.append((words[0], seg, rtstruct, words[5...].joined(separator: " ")))
        }
        return verdicts
    }

    @Test func leftIsLeftInEveryOrientationByOutsideJudges() throws {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        let folders = try Self.directions.map { name, a, b in
            let folder = root.appending(path: name)
            let series = try CTSeries.read(paths: try Self.phantom(a, b, name: name).write(into: folder).shuffled())
            #expect(series.grid.isRegular && series.frames.count == 40)
            let segment = block(series.volume, range: 300...300), centre = try #require(segment.mask?.centroidLPS)
            #expect(max((centre - [30, 0, 0]).max(), ([30, 0, 0] - centre).max()) < 2, "\(name): \(centre)")
            try write(segment, of: series, into: folder)
            return folder
        }
        let verdicts = try judged(folders)
        #expect(verdicts.map(\.name) == Self.directions.map(\.name))
        // Every voxel, no other: against the source's pixels, as pydicom reads and ITK places them.
        for verdict in verdicts { #expect(verdict.seg == 1 && verdict.rtstruct == 1 && verdict.rest == "misplaced 0 left True", "\(verdict)") }
    }

    @Test func tiltedAndUnevenStacksComeBackOntoTheirOwnSlices() throws {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        var heights: [Double] = [0]
        for n in 0..<39 { heights.append(heights[n] + (n < 20 ? 3 : n == 20 ? 1.1 : 7)) }
        let cases: [(name: String, phantom: Phantom)] = Self.directions.flatMap { name, a, b in [
            ("\(name)-tilted", Self.phantom(a, b, name: name, lean: [0, tan(18.5 * .pi / 180)])),
            ("\(name)-uneven", Self.phantom(a, b, name: name, lean: [0, name.hasPrefix("axial") ? -0.3 : 0.1], heights: heights)),
        ] }
        let folders = try cases.map { name, phantom in
            let folder = root.appending(path: name)
            let series = try CTSeries.read(paths: try phantom.write(into: folder).shuffled())
            #expect(!series.grid.isRegular && series.frames.count == phantom.geometry.size.z)
            #expect(zip(series.grid.originsLPS, (0..<series.frames.count).map { phantom.positionLPS(0, 0, slice: $0) }).allSatisfy { ($0 - $1).max().magnitude < 1e-3 })
            // Between tissue of 40 and the block's 300: the half of it is inside.
            let segment = block(series.volume, range: 170...400).largestPiece()
            let centre = try #require(segment.mask?.centroidLPS)
            #expect(max((centre - [30, 0, 0]).max(), ([30, 0, 0] - centre).max()) < 4, "\(name): \(centre)")
            // 30 x 40 x 50 mm.
            let volume = try series.sourceMask(segment.mask!).volumeML
            #expect((volume / 60 - 1).magnitude < 0.2, "\(name): \(volume) ml")
            try write(segment, of: series, into: folder)
            return folder
        }
        let verdicts = try judged(folders)
        #expect(verdicts.count == cases.count)
        for verdict in verdicts {
            #expect(verdict.seg > 0.93 && verdict.rtstruct == verdict.seg && verdict.rest == "misplaced 0 left True", "\(verdict)")
        }
    }
}

extension ResultSegment {
    fileprivate func largestPiece() -> ResultSegment {
        var copy = self
        copy.mask = mask?.largestComponent()
        return copy
    }
}
