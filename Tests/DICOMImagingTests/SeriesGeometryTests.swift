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
    private static func block(_ volume: Volume, range: ClosedRange<Int16>) -> ResultSegment {
        ResultFixture.segment("Parotid_L", Mask(geometry: volume.geometry, voxels: volume.voxels.map { range.contains($0) ? 1 : 0 }))
    }

    /// Writes SEG and RTSTRUCT of a mask beside its series.
    private static func write(_ segment: ResultSegment, of series: CTSeries, into folder: URL) throws {
        let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
        try SegmentationWriter.make(ContouredSeries(segments: [segment], series: series, source: source, context: ResultFixture.context)).write(to: folder.appending(path: "SEG.dcm").path)
        try StructureSetWriter.make(ContouredSeries(segments: [segment], series: series, source: source, context: ResultFixture.context)).write(to: folder.appending(path: "RTSTRUCT.dcm").path)
    }

    private static let judge = Places.repository.appending(path: "Tests/Judges/geometry.py").path

    /// The judge's words on a folder; numbers are Dice with the source's own pixels.
    struct Verdict {
        let name: String
        let seg, rtstruct: Double
        /// Of what dcmqi makes of the SEG; -1 where it makes nothing.
        let dcmqi: Double
        let rest: String
    }

    private static func judged(_ folders: [URL]) throws -> [Verdict] {
        let result = try runTool(Places.python, [judge] + folders.map(\.path))
        try #require(result.status == 0, "\(result.output)")
        return result.output.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 11, words[1] == "seg", let seg = Double(words[2]), let dcmqi = Double(words[4]), let rtstruct = Double(words[6]) else { return nil }
            return Verdict(name: words[0], seg: seg, rtstruct: rtstruct, dcmqi: dcmqi, rest: words[7...].joined(separator: " "))
        }
    }

    @Test func leftIsLeftInEveryOrientationByOutsideJudges() throws {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        let folders = try Self.directions.map { name, a, b in
            let folder = root.appending(path: name)
            let series = try CTSeries.read(paths: try Self.phantom(a, b, name: name).write(into: folder).shuffled())
            #expect(series.grid.isRegular && series.frames.count == 40)
            let segment = Self.block(series.volume, range: 300...300), centre = try #require(segment.mask?.centroidLPS)
            #expect(max((centre - [30, 0, 0]).max(), ([30, 0, 0] - centre).max()) < 2, "\(name): \(centre)")
            try Self.write(segment, of: series, into: folder)
            return folder
        }
        let verdicts = try Self.judged(folders)
        #expect(verdicts.map(\.name) == Self.directions.map(\.name))
        // Every voxel, no other: against the source's pixels, as pydicom reads and ITK places them, directly and by way of dcmqi.
        for verdict in verdicts { #expect(verdict.seg == 1 && verdict.dcmqi == 1 && verdict.rtstruct == 1 && verdict.rest == "misplaced 0 left True", "\(verdict)") }
    }

    @Test func tiltedAndUnevenStacksComeBackOntoTheirOwnSlices() throws {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        var heights: [Double] = [0]
        for n in 0..<39 { heights.append(heights[n] + (n < 20 ? 3 : n == 20 ? 1.1 : 7)) }
        let cases: [(name: String, phantom: Phantom)] = Self.directions.enumerated().map { n, direction in
            let (name, a, b) = direction
            return n % 2 == 0 ? ("\(name)-tilted", Self.phantom(a, b, name: name, lean: [0, tan(18.5 * .pi / 180)]))
                : ("\(name)-uneven", Self.phantom(a, b, name: name, lean: [0, name.hasPrefix("axial") ? -0.3 : 0.1], heights: heights))
        }
        let folders = try cases.map { name, phantom in
            let folder = root.appending(path: name)
            let series = try CTSeries.read(paths: try phantom.write(into: folder).shuffled())
            #expect(!series.grid.isRegular && series.frames.count == phantom.geometry.size.z)
            #expect(zip(series.grid.originsLPS, (0..<series.frames.count).map { phantom.positionLPS(0, 0, slice: $0) }).allSatisfy { ($0 - $1).max().magnitude < 1e-3 })
            // Between tissue of 40 and the block's 300: the half of it is inside.
            let segment = Self.block(series.volume, range: 170...400).largestPiece()
            let centre = try #require(segment.mask?.centroidLPS)
            #expect(max((centre - [30, 0, 0]).max(), ([30, 0, 0] - centre).max()) < 4, "\(name): \(centre)")
            // 30 x 40 x 50 mm.
            let volume = try series.sourceMask(segment.mask!).volumeML
            #expect((volume / 60 - 1).magnitude < 0.2, "\(name): \(volume) ml")
            try Self.write(segment, of: series, into: folder)
            return folder
        }
        let verdicts = try Self.judged(folders)
        #expect(verdicts.count == cases.count)
        for verdict in verdicts {
            #expect(verdict.seg > 0.93 && verdict.rtstruct == verdict.seg && verdict.rest == "misplaced 0 left True", "\(verdict)")
        }
    }

    // MARK: Multi-frame

    /// Makes one multi-frame image of a folder's slices by a tool that others wrote: `highdicom` (Legacy Converted Enhanced CT) or
    /// `dcmulti` (Enhanced CT).
    private static func join(_ folder: URL, by tool: String, into joined: URL) throws {
        try FileManager.default.createDirectory(at: joined, withIntermediateDirectories: true)
        let result = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/frames.py").path, tool, folder.path, joined.appending(path: "CT.dcm").path])
        try #require(result.status == 0, "\(result.output)")
    }

    @Test(arguments: ["highdicom", "dcmulti"]) func framesBecomeTheSlicesTheyWereMadeOfAndResultsReferToThem(tool: String) throws {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        var uneven: [Double] = [0]
        for n in 1..<40 { uneven.append(uneven[n - 1] + (n < 25 ? 4 : 7)) }
        let cases: [(name: String, heights: [Double]?)] = [("upright", nil), ("uneven", uneven)]
        let folders = try cases.map { name, heights -> URL in
            let single = root.appending(path: name), joined = root.appending(path: "\(name)-joined")
            let paths = try Self.phantom([1, 0, 0], [0, 1, 0], name: name, lean: heights == nil ? .zero : [0, 0.3], heights: heights).write(into: single) { slice, k in
                try slice.set(.sliceThickness, [heights == nil ? 5 : k < 25 ? 4 : 7])
                try slice.set(.convolutionKernel, "B31f")
            }
            try Self.join(single, by: tool, into: joined)
            let series = try CTSeries.read(paths: [joined.appending(path: "CT.dcm").path]), same = try CTSeries.read(paths: paths)
            #expect(series.grid.working.size == same.grid.working.size)
            // dcmulti writes the numbers of functional groups anew, with seven digits.
            let difference = zip(series.volume.voxels, same.volume.voxels).map { abs(Int($0) - Int($1)) }.max()!
            #expect(difference <= (name == "upright" ? 0 : 4), "\(name): \(difference) HU")
            #expect(series.instances.count == 1 && Set(series.frames.compactMap(\.number)) == Set(1...40))
            let apart = zip(series.grid.originsLPS, same.grid.originsLPS).map { max(($0 - $1).max(), ($1 - $0).max()) }.max()!
            #expect(apart < 1e-3 && series.frames.map(\.sliceThicknessMM) == same.frames.map(\.sliceThicknessMM))
            let header = try SliceHeader(try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData))
            #expect(header.isMultiFrameCT && !header.isCTSlice && header.slices.count == 40 && header.slices.allSatisfy(\.isCTSlice))
            #expect(header.slices.allSatisfy { $0.value(of: .convolutionKernel) == "B31f" } && SliceStack.gap(in: [header]) == nil)
            try Self.write(Self.block(series.volume, range: 170...400).largestPiece(), of: series, into: joined)
            for object in ["SEG", "RTSTRUCT"] { #expect(try ResultFixture.complaints(about: joined.appending(path: "\(object).dcm").path) == []) }
            return joined
        }
        let verdicts = try Self.judged(folders)
        #expect(verdicts.count == 2)
        for verdict in verdicts {
            #expect(verdict.seg > (verdict.name == "upright-joined" ? 0.999 : 0.93) && verdict.rtstruct == verdict.seg && verdict.rest == "misplaced 0 left True", "\(verdict)")
        }
    }

    @Test func aMultiFrameImageThatLiesIsRefusedInWords() throws {
        let root = try Places.temporaryFolder(), single = root.appending(path: "single")
        defer { try? FileManager.default.removeItem(at: root) }
        try Phantom(columns: 16, rows: 16, slices: 8, spacingMM: [12, 12, 30]).write(into: single)
        try Self.join(single, by: "highdicom", into: root)
        let path = root.appending(path: "CT.dcm").path
        let frame = { (d: DataSet, n: Int) in d.items(.perFrameFunctionalGroupsSequence)[n] }, shared = { (d: DataSet) in d.items(.sharedFunctionalGroupsSequence)[0] }
        let spoils: [(words: String, change: (DataSet) throws -> Void)] = [
            ("it has 9 frames but 8 items of Per-Frame", { try $0.set(.numberOfFrames, 9) }),
            ("it has 7 frames but 8 items of Per-Frame", { try $0.set(.numberOfFrames, 7) }),
            ("it claims 1000000 frames", { try $0.set(.numberOfFrames, 1_000_000) }),
            ("Number of Frames is missing", { $0.remove(.numberOfFrames) }),
            ("Number of Frames is missing or no positive", { try $0.set(.numberOfFrames, "-3") }),
            ("but 0 items of Per-Frame", { $0.remove(.perFrameFunctionalGroupsSequence) }),
            ("0 items of Shared", { $0.remove(.sharedFunctionalGroupsSequence) }),
            ("frame 4: Image Position", { frame($0, 3).remove(.planePositionSequence) }),
            ("frame 4: Image Position", { try frame($0, 3).items(.planePositionSequence)[0].set(.imagePositionPatient, [1, 2]) }),
            ("frame 1: Image Orientation", { shared($0).remove(.planeOrientationSequence) }),
            ("frame 1: Image Orientation", { try shared($0).items(.planeOrientationSequence)[0].set(.imageOrientationPatient, [1, 0, 0, 1, 0, 0]) }),
            ("frame 1: Pixel Spacing", { shared($0).remove(.pixelMeasuresSequence) }),
            ("frame 1: Pixel Spacing", { try shared($0).items(.pixelMeasuresSequence)[0].set(.pixelSpacing, [0, 0]) }),
            ("frame 1: Rescale Slope", { shared($0).remove(.pixelValueTransformationSequence) }),
            ("shorter than its rows, columns and frames", { try $0.set(.pixelData, bytes: [UInt8](repeating: 0, count: 3000)) }),
            ("lie at the same position", { d in
                for n in 4..<8 { try frame(d, n).items(.planePositionSequence)[0].set(.imagePositionPatient, [0, 0, Double(7 - n)]); try frame(d, 7 - n).items(.planePositionSequence)[0].set(.imagePositionPatient, [0, 0, Double(7 - n)]) }
            }),
        ]
        for (words, change) in spoils {
            let d = try DataSet(contentsOf: path), spoilt = root.appending(path: "spoilt.dcm").path
            try change(d)
            try d.write(to: spoilt)
            let error = #expect(throws: ImagingError.self, "\(words)") { try CTSeries.read(paths: [spoilt]) }
            #expect(error?.message.contains(words) == true && error?.message.contains("PHANTOM") == false, "\(words): \(error?.message ?? "")")
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
