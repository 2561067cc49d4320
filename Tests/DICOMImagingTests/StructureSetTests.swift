import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct StructureSetTests {
    private func make(_ geometry: VolumeGeometry, holes: StructureSetOptions.Holes = .keyhole) throws -> ResultObject {
        var options = StructureSetOptions()
        options.holes = holes
        return try StructureSetWriter.make(ContouredSeries(segments: ResultFixture.segments(geometry), series: ResultFixture.series(geometry),
                                    source: ResultFixture.source(), context: ResultFixture.context), options)
    }

    /// Fills every contour with scikit-image on the grid of the series, and counts what differs from the masks.
    private static let rasterise = """
        import sys, json, numpy as np, pydicom
        from skimage.draw import polygon
        folder, grid = sys.argv[1], json.loads(sys.argv[2])
        d = pydicom.dcmread(folder + "/RT.dcm")
        columns, rows, slices = grid["size"]
        axes = np.column_stack([grid["i"], grid["j"], np.cross(grid["i"], grid["j"])]) * grid["spacing"]
        images = [i.ReferencedSOPInstanceUID for i in d.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
                  .RTReferencedSeriesSequence[0].ContourImageSequence]
        asked = np.fromfile(folder + "/masks", np.uint8).reshape(-1, slices, rows, columns)
        off = 0
        for roi, mask in zip(d.ROIContourSequence, asked):
            found = np.zeros(mask.shape, np.uint8)
            for c in roi.ContourSequence:
                p = np.linalg.solve(axes, np.array(c.ContourData, float).reshape(-1, 3).T - np.array(grid["origin"])[:, None])
                k = images.index(c.ContourImageSequence[0].ReferencedSOPInstanceUID)
                off = max(off, np.abs(p[2] - k).max())
                assert len(p[0]) == c.NumberOfContourPoints and not np.allclose(p[:, 0], p[:, -1])
                found[k][polygon(p[1], p[0], found[k].shape)] ^= 1
            print("dice", 2 * (found & mask).sum() / (found.sum() + mask.sum()), "differing", (found != mask).sum(), "of", mask.sum())
        print("off plane", off < 0.01, "longest", max(len(str(v)) for r in d.ROIContourSequence for c in r.ContourSequence for v in c.ContourData))
        """

    @Test(arguments: [false, true], StructureSetOptions.Holes.allCases.dropLast())
    func scikitImageFillsTheContoursToTheVeryMasks(oblique: Bool, holes: StructureSetOptions.Holes) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(140, 101, 21, spacing: [0.7, 1.1, 3], oblique: oblique)
        let path = folder.appending(path: "RT.dcm").path
        try make(geometry, holes: holes).write(to: path)
        try Data(ResultFixture.segments(geometry).compactMap(\.mask).flatMap(\.voxels)).write(to: folder.appending(path: "masks"))
        let array = { (v: SIMD3<Double>) in [v.x, v.y, v.z] }
        let grid: [String: Any] = ["size": [140, 101, 21], "spacing": array(geometry.spacingMM), "origin": array(geometry.originLPS),
                                   "i": array(geometry.columnIndexDirection), "j": array(geometry.rowIndexDirection)]
        let json = String(decoding: try JSONSerialization.data(withJSONObject: grid), as: UTF8.self)
        let result = try ResultFixture.judge(Self.rasterise, [folder.path, json])
        let lines = result.output.split(separator: "\n")
        #expect(result.status == 0 && lines.filter { $0.hasPrefix("dice 1.0 differing 0 of") }.count == 3, "\(result.output)")
        #expect(result.output.contains("off plane True"), "\(result.output)")
        #expect(try ResultFixture.complaints(about: path) == [])
    }

    @Test(arguments: StructureSetOptions.Holes.allCases.dropLast()) func theReaderGivesBackTheMasks(holes: StructureSetOptions.Holes) throws {
        let geometry = ResultFixture.geometry(60, 70, 15, spacing: [1.1, 0.8, 2], oblique: true)
        let masks = try StructureSetReader.masks(in: make(geometry, holes: holes).dataSet, geometry: geometry,
                                                 frameOfReferenceUID: ResultFixture.series(geometry).frameOfReferenceUID)
        #expect(masks.count == 3)
        for segment in ResultFixture.segments(geometry) { #expect((masks[segment.name]?.voxels == segment.mask?.voxels) as Bool, "\(segment.name)") }
    }

    @Test func aStructureWithoutMaskKeepsItsROIAndTheReason() throws {
        let d = try make(ResultFixture.geometry(40, 40, 9)).dataSet
        #expect(d.items(.structureSetROISequence).map { $0.string(.roiName) }
            == ["Bone_Mandible", "SpinalCord", "Parotid_L", "Larynx", "Brainstem", "Esophagus"])
        #expect(d.items(.roiContourSequence).map { $0.integer(.referencedROINumber) } == [1, 3, 5])
        #expect(d.items(.rtROIObservationsSequence).map { $0.string(.roiObservationDescription) } == [
            "Automatic, not reviewed; confidence 0.83", "No contours: not in the field of view", "Automatic, not reviewed; confidence 0.83",
            "No contours: withheld: confidence 0.21 is under 0.5", "Automatic, not reviewed; confidence 0.83",
            "No contours: failed: the decoder gave no mask",
        ])
        #expect(d.string(.structureSetDescription)?.contains("Without contours: SpinalCord, Larynx, Esophagus.") == true)
        #expect(d.string(.structureSetLabel)!.count <= 16)
        #expect(d.string(.approvalStatus) == "UNAPPROVED")
    }

    @Test func holesWrittenOtherwiseMakeAnotherInstance() throws {
        let geometry = ResultFixture.geometry(40, 40, 9)
        #expect(try make(geometry).sopInstanceUID != make(geometry, holes: .separate).sopInstanceUID)
        #expect(try make(geometry).sopInstanceUID == make(geometry).sopInstanceUID)
    }

    @Test(arguments: [nil, 65_534, 20_000]) func aContourTooLongForExplicitVRIsSplitOrGoesOutInImplicitVR(limit: Int?) throws {
        // A comb with jagged teeth: one region without holes, whose outline has thousands of corners.
        let geometry = ResultFixture.geometry(96, 96, 3)
        var mask = Mask(empty: geometry)
        for j in 1..<95 { for i in 1..<95 where i == 1 || j % 3 == 0 || (j % 3 == 1 && i % 2 == 0) { mask.voxels[geometry.offset([i, j, 1])] = 1 } }
        var options = StructureSetOptions()
        options.maximumContourBytes = limit
        let object = try StructureSetWriter.make(ContouredSeries(segments: [ResultFixture.segment("Comb", mask)], series: ResultFixture.series(geometry),
                                                 source: ResultFixture.source(), context: ResultFixture.context), options)
        #expect(object.transferSyntax == (limit == nil ? .implicitVRLittleEndian : .explicitVRLittleEndian))
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "RT.dcm").path
        try object.write(to: path)
        let found = try DataSet(contentsOf: path)
        #expect(try (StructureSetReader.masks(in: found, geometry: geometry)["Comb"]?.voxels == mask.voxels) as Bool)
        let lengths = found.items(.roiContourSequence)[0].items(.contourSequence).map { $0.strings(.contourData).joined(separator: "\\").utf8.count }
        #expect(limit == nil ? lengths.max()! > 65_534 : lengths.allSatisfy { $0 <= limit! }, "\(lengths)")
        #expect(try ResultFixture.complaints(about: path) == [])
    }

    @Test func decimalsAreFixedWhateverTheLocale() throws {
        let grid = SourceGrid(VolumeGeometry(size: [4, 4, 2], spacingMM: [1, 1, 2], originLPS: [0.00005, -0.0004, -1234.5678]))
        let contour = Contour(points: [[0, 0], [1, -0.5], [1, 0.99951], [1, 0.99951], [-1000, 2]])
        func text(_ decimals: Int) -> String { String(decoding: ContourText(contour, slice: 0, grid: grid, decimals: decimals)!.bytes, as: UTF8.self) }
        #expect(text(3) == #"0.000\0.000\-1234.568\1.000\-0.500\-1234.568\1.000\0.999\-1234.568\-1000.000\2.000\-1234.568"#)
        #expect(text(2) == #"0.00\0.00\-1234.57\1.00\-0.50\-1234.57\1.00\1.00\-1234.57\-1000.00\2.00\-1234.57"#)
        #expect(ContourText(Contour(points: [[0, 0], [0, 0.0001], [1, 0]]), slice: 0, grid: grid, decimals: 3) == nil)
    }

    @Test func oddStructureSetsAreReadAsFarAsTheyGo() throws {
        let geometry = ResultFixture.geometry(20, 20, 5)
        let d = DataSet()
        #expect(throws: ImagingError.self) { try StructureSetReader.masks(in: d, geometry: geometry) }
        try d.set(.sopClassUID, SOPClass.rtStructureSetStorage)
        #expect(try StructureSetReader.masks(in: d, geometry: geometry).isEmpty)
        let square: (Double) -> [SIMD3<Double>] = { k in [[1.5, 1.5, k], [7.5, 1.5, k], [7.5, 7.5, k], [1.5, 7.5, k]] }
        try add(d, 1, "Good", [square(1.4), square(9), square(-3)], geometry)
        try add(d, 2, "Tilted", [[[2, 2, 1], [8, 2, 2], [8, 8, 2]]], geometry)
        try add(d, 3, "Twice", [square(2)], geometry)
        try add(d, 4, "Twice", [square(3)], geometry)
        try add(d, 5, "Point", [[[2, 2, 1]]], geometry)
        let broken = try d.items(.roiContourSequence)[4].addItem(.contourSequence)
        try broken.set(.contourGeometricType, "CLOSED_PLANAR")
        try broken.set(.contourData, "1\\2\\3\\4")
        let masks = try StructureSetReader.masks(in: d, geometry: geometry)
        #expect(Set(masks.keys) == ["Good"])
        #expect(masks["Good"]?.voxels.map(Int.init).reduce(0, +) == 36)
        let other = #expect(throws: ImagingError.self) { try StructureSetReader.masks(in: d, geometry: geometry, frameOfReferenceUID: UID("1.2.3")!) }
        #expect(other?.code == .structureSetUnusable)
    }

    private func add(_ d: DataSet, _ number: Int, _ name: String, _ contours: [[SIMD3<Double>]], _ geometry: VolumeGeometry) throws {
        let roi = try d.addItem(.structureSetROISequence)
        try roi.set(.roiNumber, number)
        try roi.set(.roiName, name)
        try roi.set(.referencedFrameOfReferenceUID, "1.2.4")
        let item = try d.addItem(.roiContourSequence)
        try item.set(.referencedROINumber, number)
        for contour in contours {
            let c = try item.addItem(.contourSequence)
            try c.set(.contourGeometricType, "CLOSED_PLANAR")
            try c.set(.contourData, contour.map(geometry.indexToPatient).flatMap { [$0.x, $0.y, $0.z] })
        }
    }
}
