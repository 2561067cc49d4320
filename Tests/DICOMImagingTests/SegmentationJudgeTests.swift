import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// SEG in all forms, pixel for pixel in the hands of readers that others wrote.
@Suite struct SegmentationJudgeTests {
    /// A SEG to write, with what a reader must find in it.
    private struct Case {
        var name: String
        var series: CTSeries
        var segments: [ResultSegment]
        var options = SegmentationOptions()

        init(_ name: String, _ series: CTSeries, _ options: SegmentationOptions = .init(), probabilities: Bool = false) {
            (self.name, self.series, self.options) = (name, series, options)
            segments = ResultFixture.segments(series.volume.geometry)
            if probabilities { for n in segments.indices where n != 2 { segments[n].probabilities = segments[n].mask.map(blurred) } }
        }

        var masks: [SourceMask] { get throws { try segments.compactMap { try $0.mask.map { try series.sourceMask($0) } } } }

        /// A byte a pixel: structures, slices, rows, columns.
        func expected() throws -> [UInt8] {
            let masks = try masks
            switch options.form {
            case .binary: return masks.flatMap(\.voxels)
            case .fractional:
                return zip(masks, segments.filter { $0.mask != nil }).flatMap { mask, segment in
                    guard let map = segment.probabilities else { return mask.voxels.map { $0 * 255 } }
                    let found = series.grid.sourceProbabilities(map, of: mask)
                    return (0..<series.grid.slices).flatMap { found.pixels(ofSlice: $0) }
                }
            case .labelmap:
                let volumes = masks.map(\.volumeML)
                return masks.enumerated().flatMap { n, mask in
                    mask.voxels.indices.map { at in
                        mask.voxels[at] == 1 && masks.indices.allSatisfy { $0 == n || masks[$0].voxels[at] == 0 || volumes[$0] > volumes[n] } ? 1 : 0
                    }
                }
            }
        }

        func write(into root: URL) throws -> URL {
            struct Description: Encodable {
                let form: String, emptyFrames, isRegular: Bool, columns, rows, segments: Int, uids: [String], numbers: [Int?], origins: [[Double]]
                enum CodingKeys: CodingKey { case form, emptyFrames, isRegular, columns, rows, segments, uids, numbers, origins }
                func encode(to encoder: any Encoder) throws {
                    var c = encoder.container(keyedBy: CodingKeys.self)
                    try c.encode(form, forKey: .form); try c.encode(emptyFrames, forKey: .emptyFrames); try c.encode(isRegular, forKey: .isRegular)
                    try c.encode(columns, forKey: .columns); try c.encode(rows, forKey: .rows); try c.encode(segments, forKey: .segments)
                    try c.encode(uids, forKey: .uids); try c.encode(numbers, forKey: .numbers); try c.encode(origins, forKey: .origins)
                }
            }
            let folder = root.appending(path: name), grid = series.grid
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let contoured = try ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: ResultFixture.context)
            try SegmentationWriter.make(contoured, options).write(to: folder.appending(path: "SEG.dcm").path)
            let description = Description(
                form: options.form.rawValue, emptyFrames: options.emptyFrames, isRegular: grid.isRegular, columns: grid.columns, rows: grid.rows, segments: 3,
                uids: series.frames.map(\.instance.sopInstanceUID.string), numbers: series.frames.map(\.number),
                origins: grid.originsLPS.map { [$0.x, $0.y, $0.z] })
            try JSONEncoder().encode(description).write(to: folder.appending(path: "case.json"))
            try Data(expected()).write(to: folder.appending(path: "expected.raw"))
            return folder
        }
    }

    /// Probabilities of which the mask is the upper half: lower towards its surface, and some outside.
    private static func blurred(_ mask: Mask) -> ProbabilityMap {
        let size = mask.geometry.size
        return ProbabilityMap(geometry: mask.geometry, voxels: mask.voxels.indices.map { at in
            let index = mask.geometry.index(atOffset: at)
            let around = (-2...2).filter { index.x + $0 >= 0 && index.x + $0 < size.x && mask.voxels[at + $0] == 1 }.count
            return mask.voxels[at] == 1 ? UInt8(128 + 25 * around) : UInt8(31 * around)
        })
    }

    /// Slices that lean, at uneven distances.
    private static func uneven() throws -> CTSeries {
        let flat = ResultFixture.geometry(27, 22, 9)
        let origins = [0.0, 2.5, 5, 7.5, 9, 14, 19, 24, 29].map { flat.originLPS + $0 * (flat.sliceIndexDirection - 0.2 * flat.rowIndexDirection) }
        let grid = try #require(SourceGrid(columns: 27, rows: 22, pixelSpacingMM: [0.9, 0.9], columnIndexDirection: flat.columnIndexDirection,
                                           rowIndexDirection: flat.rowIndexDirection, originsLPS: origins))
        var series = ResultFixture.series(flat)
        series.grid = grid
        series.volume = Volume(geometry: grid.working, voxels: [Int16](repeating: 0, count: grid.working.count))
        return series
    }

    /// The frames of one image, of which the first two are of another stack.
    private static func multiFrame() -> CTSeries {
        var series = ResultFixture.series(ResultFixture.geometry(30, 26, 8))
        let image = SourceInstance(sopInstanceUID: series.frames[0].instance.sopInstanceUID, sopClassUID: SOPClass.enhancedCTImageStorage, path: "")
        for n in series.frames.indices { series.frames[n] = SourceFrame(instance: image, number: n + 3) }
        return series
    }

    private static func judged(_ cases: [Case], by judges: String, python: String = Places.python) throws -> [String] {
        let root = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: root) }
        let folders = try cases.map { try $0.write(into: root) }
        for folder in folders {
            let complaints = try ResultFixture.complaints(about: folder.appending(path: "SEG.dcm").path)
            #expect(complaints == [], "\(folder.lastPathComponent): \(complaints)")
        }
        let script = Places.repository.appending(path: "Tests/Judges/segmentation.py").path
        let result = try runTool(python, [script, judges] + folders.map(\.path))
        try #require(result.status == 0, "\(result.output)")
        return result.output.split(separator: "\n").filter { $0.contains("\tdiffering\t") }.map(String.init)
    }

    /// Each line is of a folder and judge, has no word after the counts, and something was there to be found.
    private static func expectAgreement(_ lines: [String], count: Int) {
        #expect(lines.count == count)
        for line in lines {
            let words = line.split(separator: "\t")
            #expect(words.count == 6 && words[3] == "0" && Int(words[5])! > 20, "\(line)")
        }
    }

    private static let sizes = [(512, 512), (515, 515), (21, 22), (23, 38)]

    /// Regular series that every toolkit can make a volume of. Three structures in up to five frames each: the bits of most frames
    /// begin within a byte.
    private static func regular(_ options: SegmentationOptions, probabilities: Bool = false) -> [Case] {
        sizes.map { Case("\($0)x\($1)", ResultFixture.series(ResultFixture.geometry($0, $1, $0 > 100 ? 3 : 5)), options, probabilities: probabilities) }
            + [Case("oblique", ResultFixture.series(ResultFixture.geometry(40, 51, 19, spacing: [0.7, 1.1, 3], oblique: true)), options, probabilities: probabilities)]
    }

    private static func special(_ options: SegmentationOptions, probabilities: Bool = false) throws -> [Case] {
        var all = options
        all.emptyFrames = true
        return [Case("uneven", try uneven(), options, probabilities: probabilities), Case("frames", multiFrame(), options, probabilities: probabilities),
                Case("empty", ResultFixture.series(ResultFixture.geometry(21, 23, 9)), all, probabilities: probabilities)]
    }

    @Test func readersFindEveryBitOfABinarySegmentation() throws {
        let regular = Self.regular(.init()), special = try Self.special(.init())
        Self.expectAgreement(try Self.judged(regular, by: "highdicom,pydicom,dcmqi"), count: 15)
        Self.expectAgreement(try Self.judged(special, by: "highdicom,pydicom"), count: 6)
        Self.expectAgreement(try Self.judged(regular, by: "pydicom-seg", python: Places.pythonWithPydicom2), count: 5)
    }

    @Test func readersFindEveryNumberOfALabelMap() throws {
        let options = SegmentationOptions(form: .labelmap)
        Self.expectAgreement(try Self.judged(Self.regular(options), by: "highdicom,pydicom,dcmqi"), count: 15)
        Self.expectAgreement(try Self.judged(Self.special(options), by: "highdicom,pydicom"), count: 6)
    }

    @Test func readersFindEveryProbabilityOfAFractionalSegmentation() throws {
        let options = SegmentationOptions(form: .fractional), regular = Self.regular(options, probabilities: true)
        Self.expectAgreement(try Self.judged(regular, by: "highdicom,pydicom,dcmqi"), count: 15)
        Self.expectAgreement(try Self.judged(Self.special(options, probabilities: true), by: "highdicom,pydicom"), count: 6)
        Self.expectAgreement(try Self.judged(regular, by: "pydicom-seg", python: Places.pythonWithPydicom2), count: 5)
    }

    @Test func moreStructuresThanAByteCanNumberTakeTwo() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(20, 15, 2), path = folder.appending(path: "SEG.dcm").path
        let segments = (0..<300).map { n in
            var mask = Mask(empty: geometry)
            mask.voxels[2 * n] = 1
            return ResultFixture.segment("Structure_\(n)", mask)
        }
        let contoured = try ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context)
        try SegmentationWriter.make(contoured, .init(form: .labelmap)).write(to: path)
        let result = try ResultFixture.judge("""
            import sys, numpy as np, highdicom as hd
            seg = hd.seg.segread(sys.argv[1])
            pixels = seg.pixel_array.ravel()
            print(seg.BitsAllocated, len(seg.segment_numbers), (pixels[::2] == np.arange(1, 301)).all(), pixels[1::2].any())
            """, [path])
        #expect(result.output.contains("16 300 True False"), "\(result.output)")
        #expect(try ResultFixture.complaints(about: path) == [])
    }

    @Test func whatStructuresShareInALabelMapGoesToTheSmallerAndIsStatedOrNothingIsLost() throws {
        let geometry = ResultFixture.geometry(10, 1, 2)
        func segment(_ name: String, _ range: Range<Int>) -> ResultSegment {
            ResultFixture.segment(name, Mask(geometry: geometry, voxels: (0..<20).map { range.contains($0) ? 1 : 0 }))
        }
        let contoured = try ContouredSeries(segments: [segment("Small", 6..<9), segment("Large", 0..<8), segment("Apart", 10..<20)], series: ResultFixture.series(geometry),
                                            source: ResultFixture.source(), context: ResultFixture.context)
        let object = try SegmentationWriter.make(contoured, .init(form: .labelmap))
        let items = object.dataSet.items(.segmentSequence)
        #expect(items.map { $0.integer(.segmentNumber) } == [0, 1, 2, 3])
        #expect(items.map { $0.string(.segmentDescription)?.contains("2 pixels that smaller structures have too are theirs") ?? false } == [false, false, true, false])
        #expect(object.sopClassUID == SOPClass.labelMapSegmentationStorage && object.dataSet.string(.segmentsOverlap) == "NO")
        let kept = try SegmentationWriter.make(contoured, .init(form: .labelmap, overlaps: .binary))
        #expect(kept.sopClassUID == SOPClass.segmentationStorage && kept.dataSet.string(.segmentationType) == "BINARY")
        #expect(Set([object, kept, try SegmentationWriter.make(contoured)].map(\.sopInstanceUID)).count == 3)
    }

    @Test func morePixelsThanAnElementCanHoldAreAnErrorThatNamesIt() throws {
        #expect(try Encoding.header(.pixelData, "OB", 0xFFFF_FFFE) == [0xE0, 0x7F, 0x10, 0x00, 0x4F, 0x42, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF])
        let error = #expect(throws: ImagingError.self) { try Encoding.header(.pixelData, "OB", 0xFFFF_FFFF) }
        #expect(error?.code == .cannotWrite && error?.message.contains("PixelData (7FE0,0010)") == true)
    }

    @Test func aTypeThatIsNoPlaceHasItsAnatomicRegionStated() throws {
        let geometry = ResultFixture.geometry(30, 30, 9)
        var segments = ResultFixture.segments(geometry)
        segments[0].category = CodedConcept(value: "49755003", scheme: "SCT", meaning: "Morphologically Altered Structure")
        segments[0].type = CodedConcept(value: "108369006", scheme: "SCT", meaning: "Neoplasm")
        segments[0].anatomicRegion = CodedConcept(value: "45048000", scheme: "SCT", meaning: "Neck")
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let object = try SegmentationWriter.make(ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context))
        #expect(object.dataSet.items(.segmentSequence)[0].concept(.anatomicRegionSequence) == segments[0].anatomicRegion)
        try object.write(to: folder.appending(path: "SEG.dcm").path)
        #expect(try ResultFixture.complaints(about: folder.appending(path: "SEG.dcm").path) == [])
    }
}
