import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct SegmentationTests {
    /// Writes the fixture's SEG and its masks; the judge compares the two.
    private func write(_ geometry: VolumeGeometry, to folder: URL) throws -> (object: ResultObject, path: String) {
        let series = ResultFixture.series(geometry), segments = ResultFixture.segments(geometry)
        let object = try SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: ResultFixture.context))
        let path = folder.appending(path: "SEG.dcm").path
        try object.write(to: path)
        try Data(segments.compactMap(\.mask).flatMap(\.voxels)).write(to: folder.appending(path: "masks"))
        try series.instances.map(\.sopInstanceUID.string).joined(separator: "\n").write(toFile: folder.appending(path: "uids").path, atomically: true, encoding: .utf8)
        return (object, path)
    }

    private static let readBack = """
        import sys, numpy as np, highdicom as hd
        folder = sys.argv[1]
        seg = hd.seg.segread(folder + "/SEG.dcm")
        uids = open(folder + "/uids").read().split()
        found = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
        asked = np.fromfile(folder + "/masks", np.uint8).reshape(seg.number_of_segments, len(uids), seg.Rows, seg.Columns)
        print("segments", seg.number_of_segments, "differing", (found != asked.transpose(1, 2, 3, 0)).sum(), "set", asked.sum() > 0)
        volume = seg.get_volume(combine_segments=False)
        print("affine", *np.round(volume.get_geometry().get_affine("LPS"), 6).ravel())
        print("frames", seg.NumberOfFrames, "empty", sum(not f.any() for f in seg.pixel_array))
        """

    @Test(arguments: [(512, 512), (515, 515), (21, 22), (23, 38)])
    func highdicomReadsEveryMaskBitForBit(columns: Int, rows: Int) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let (object, path) = try write(ResultFixture.geometry(columns, rows, 3), to: folder)
        let result = try ResultFixture.judge(Self.readBack, [folder.path])
        #expect(result.output.contains("segments 3 differing 0 set True"), "\(result.output)")
        #expect(result.output.contains("empty 0"), "\(result.output)")
        #expect(object.transferSyntax == .explicitVRLittleEndian)
        #expect(try ResultFixture.complaints(about: path) == [])
    }

    @Test func anObliqueSeriesWithOblongPixelsKeepsItsGrid() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(40, 51, 19, spacing: [0.7, 1.1, 3], oblique: true)
        let (_, path) = try write(geometry, to: folder)
        let result = try ResultFixture.judge(Self.readBack, [folder.path])
        #expect(result.output.contains("segments 3 differing 0 set True"), "\(result.output)")
        #expect(try ResultFixture.complaints(about: path) == [])
        let affine = result.output.split(separator: "\n").first { $0.hasPrefix("affine") }!.split(separator: " ").dropFirst().map { Double($0)! }
        // highdicom's axes are slice, row, column; its slices may run either way and start at the first with a frame.
        let index = { (k: Double, j: Double, i: Double) -> SIMD3<Double> in
            let p = (0..<3).map { affine[$0 * 4] * k + affine[$0 * 4 + 1] * j + affine[$0 * 4 + 2] * i + affine[$0 * 4 + 3] }
            return geometry.patientToIndex([p[0], p[1], p[2]])
        }
        let first = index(0, 0, 0)
        #expect(abs(first.z - first.z.rounded()) < 1e-4)
        for (k, j, i) in [(1.0, 0.0, 0.0), (2, 7, 0), (3, 5, 11)] {
            let found = index(k, j, i)
            #expect(abs(found.x - i) < 1e-4 && abs(found.y - j) < 1e-4 && abs(abs(found.z - first.z) - k) < 1e-4)
        }
    }

    @Test func whatIsNotDrawnIsStatedWithItsReason() throws {
        let d = try SegmentationWriter.make(ContouredSeries(segments: ResultFixture.segments(ResultFixture.geometry(30, 30, 9)),
                                            series: ResultFixture.series(ResultFixture.geometry(30, 30, 9)),
                                            source: ResultFixture.source(), context: ResultFixture.context)).dataSet
        #expect(d.string(.imageComments) == "Not in this object: SpinalCord: not in the field of view; Larynx: withheld: confidence 0.21 is under 0.5; "
            + "Esophagus: failed: the decoder gave no mask.")
        #expect(d.items(.segmentSequence).map { $0.string(.segmentLabel) } == ["Bone_Mandible", "Parotid_L", "Brainstem"])
        #expect(d.items(.segmentSequence).map { $0.integer(.segmentNumber) } == [1, 2, 3])
    }

    @Test func theObjectBelongsToTheSourcesPatientStudyAndFrame() throws {
        let geometry = ResultFixture.geometry(30, 30, 9), series = ResultFixture.series(geometry)
        let source = try ResultFixture.source()
        try source.set(.timezoneOffsetFromUTC, "+0130")
        let object = try SegmentationWriter.make(ContouredSeries(segments: ResultFixture.segments(geometry), series: series, source: source, context: ResultFixture.context))
        let d = object.dataSet
        for tag: DICOMCore.Tag in [.specificCharacterSet, .patientName, .patientID, .patientBirthDate, .patientSex, .studyID, .accessionNumber, .studyDate] {
            #expect(d.string(tag) == source.string(tag))
        }
        #expect(d.contains(.referringPhysicianName))
        #expect(d.uid(.studyInstanceUID) == series.studyInstanceUID)
        #expect(d.uid(.frameOfReferenceUID) == series.frameOfReferenceUID)
        #expect(d.uid(.sopInstanceUID) == object.sopInstanceUID && d.uid(.seriesInstanceUID) == object.seriesInstanceUID)
        #expect(d.items(.referencedSeriesSequence)[0].items(.referencedInstanceSequence).map { $0.uid(.referencedSOPInstanceUID) }
            == series.instances.map(\.sopInstanceUID))
        // 1,790,000,000 s is 2026-09-21 14:13:20 UTC; the source's own offset decides the zone.
        #expect(d.string(.contentDate) == "20260921" && d.string(.contentTime) == "154320")
        #expect(d.items(.contributingEquipmentSequence)[0].string(.manufacturer) == "Scanner works")
    }

    @Test func theSameInputGivesTheSameUIDsAndAnyOtherModelOthers() throws {
        let geometry = ResultFixture.geometry(30, 30, 9), series = ResultFixture.series(geometry)
        var segments = ResultFixture.segments(geometry)
        let uid = { (context: ResultContext, series: CTSeries) in
            try SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: context)).sopInstanceUID
        }
        var later = ResultFixture.context, other = ResultFixture.context, shorter = series
        later.contentDate += 100
        other.models[0].digest = "ef"
        shorter.frames[0].instance.sopInstanceUID = UID("1.2.3")!
        let first = try uid(ResultFixture.context, series)
        #expect(try uid(later, series) == first)
        #expect(try uid(other, series) != first)
        #expect(try uid(ResultFixture.context, shorter) != first)
        // Another threshold, another object.
        segments[0].state = .withheld(reason: "confidence 0.83 is under 0.9")
        #expect(try uid(ResultFixture.context, series) != first)
    }

    @Test func aLossySourceIsDeclaredSoAndABareOneGivesNoErrors() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(30, 30, 9), source = DataSet(), segments = ResultFixture.segments(geometry)
        var series = ResultFixture.series(geometry)
        series.lossyCompression = LossyCompression(ratios: [10], methods: ["ISO_10918_1"])
        for object in [try SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context)),
                       try StructureSetWriter.make(ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context))] {
            let path = folder.appending(path: "\(object.sopInstanceUID).dcm").path
            try object.write(to: path)
            #expect(try ResultFixture.complaints(about: path).filter { $0.hasPrefix("Error") } == [])
        }
    }

    @Test func theSameInputGivesTheSameBytes() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(30, 30, 9, oblique: true)
        let files = try ["first", "second"].map { name in
            let path = folder.appending(path: name)
            try SegmentationWriter.make(ContouredSeries(segments: ResultFixture.segments(geometry), series: ResultFixture.series(geometry),
                                        source: ResultFixture.source(), context: ResultFixture.context)).write(to: path.path)
            return try Data(contentsOf: path)
        }
        #expect(files[0] == files[1])
    }

    @Test func withoutAnyMaskThereIsNoObject() throws {
        let geometry = ResultFixture.geometry(30, 30, 9)
        let segments = ResultFixture.segments(geometry).filter { $0.mask == nil }
            + [ResultFixture.segment("Empty", Mask(empty: geometry))]
        let error = #expect(throws: ImagingError.self) {
            try SegmentationWriter.make(ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context))
        }
        #expect(error?.code == .nothingSegmented)
        #expect(throws: ImagingError.self) {
            try StructureSetWriter.make(ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context))
        }
    }

    @Test func aMaskOnAnotherGridIsRefused() throws {
        let segments = ResultFixture.segments(ResultFixture.geometry(30, 30, 9))
        let error = #expect(throws: ImagingError.self) {
            try SegmentationWriter.make(ContouredSeries(segments: segments, series: ResultFixture.series(ResultFixture.geometry(30, 30, 9, spacing: [1, 1, 2])),
                                        source: ResultFixture.source(), context: ResultFixture.context))
        }
        #expect(error?.code == .otherGrid)
    }

    @Test func coloursAreThoseOfTheICCProfileSpace() throws {
        let colors: [SIMD3<UInt8>] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [41, 121, 255], [128, 128, 128]]
        // Pillow's littleCMS gives eight bits a channel. (highdicom's from_rgb keeps sRGB's own D65 white instead.)
        let script = """
            import sys
            from PIL import Image, ImageCms
            to = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
            for a in sys.argv[1:]:
                image = ImageCms.applyTransform(Image.new("RGB", (1, 1), tuple(map(int, a.split(",")))), to)
                print(*(v * 257 for v in image.getpixel((0, 0))))
            """
        let result = try ResultFixture.judge(script, colors.map { "\($0.x),\($0.y),\($0.z)" })
        let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").compactMap { Double($0) } }
        try #require(lines.count == colors.count, "\(result.output)")
        for (color, expected) in zip(colors, lines) {
            for (ours, theirs) in zip(cieLab(color), expected) { #expect(abs(Double(ours) - theirs) <= 257, "\(color)") }
        }
    }

    @Test func textThatTheSourcesCharacterSetMayNotHoldIsWrittenPlain() throws {
        #expect(plain("Glândula\\parótida\n左", 64) == "Glandula?parotida??")
        #expect(plain(String(repeating: "a", count: 70), 64).count == 64)
    }
}
