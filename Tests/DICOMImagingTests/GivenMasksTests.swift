import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// Masks of others: where they lie, what is refused, and that broken files get a reason.
@Suite struct GivenMasksTests {
    private let folder: URL
    private let geometry = ResultFixture.geometry(20, 26, 9, spacing: [0.7, 1.1, 3], oblique: true)

    init() throws { folder = try Places.temporaryFolder("given") }

    private func path(_ name: String) -> String { folder.appending(path: name).path }
    private func randomMask(_ geometry: VolumeGeometry, seed: UInt64 = 3) -> Mask {
        var random = Seeded(seed)
        return Mask(geometry: geometry, voxels: (0..<geometry.count).map { _ in UInt8.random(in: 0...1, using: &random) })
    }
    private let one = [GivenStructure(number: 1, name: "a")]

    /// nibabel writes a mask in any order and direction of axes, any type, either byte order, by sform or qform.
    private static let script = """
        import sys, numpy as np, nibabel as nib
        source, out, kind = sys.argv[1:]
        image = nib.load(source)
        data, affine = np.asanyarray(image.dataobj), image.affine
        orders = {"ras": "RAS", "lpi": "LPI", "spl": "SPL", "ail": "AIL"}
        types = {"int32": np.int32, "float32": np.float32, "float64": np.float64, "uint16": np.uint16, "int64": np.int64, "int8": np.int8}
        if kind in orders:
            nib.save(image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(orders[kind]))), out)
        elif kind in types:
            nib.save(nib.Nifti1Image(data.astype(types[kind]), affine, dtype=types[kind]), out)
        elif kind == "two":
            nib.save(nib.Nifti2Image(data, affine), out)
        elif kind == "big":
            nib.save(nib.Nifti1Image(data.astype(">i2"), affine, nib.Nifti1Header(endianness=">")), out)
        elif kind == "scaled":
            made = nib.Nifti1Image((data * 3).astype(np.int16), affine)
            made.header.set_slope_inter(1 / 3, 0)
            nib.save(made, out)
        elif kind in ("qform", "flipped qform"):
            if kind == "flipped qform":
                data, affine = data[:, :, ::-1], affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, data.shape[2] - 1], [0, 0, 0, 1]])
            made = nib.Nifti1Image(data, None)
            made.set_qform(affine, 1), made.set_sform(None, 0)
            nib.save(made, out)
        elif kind == "part":
            part = data[2:15, 3:24, 1:8]
            shift = np.eye(4); shift[:3, 3] = 2, 3, 1
            whole = np.zeros_like(data); whole[2:15, 3:24, 1:8] = part
            nib.save(nib.Nifti1Image(part, affine @ shift), out), nib.save(nib.Nifti1Image(whole, affine), source)
        elif kind == "larger":
            shift = np.eye(4); shift[:3, 3] = -4, -2, -3
            nib.save(nib.Nifti1Image(np.pad(data, [(4, 1), (2, 5), (3, 2)]), affine @ shift), out)
        """

    @Test(arguments: ["ras", "lpi", "spl", "ail", "int8", "uint16", "int32", "int64", "float32", "float64", "two", "big", "scaled", "qform", "flipped qform", "part", "larger"])
    func niftiOfAnyAxesAndTypesLiesOnTheSlices(_ kind: String) throws {
        try NIfTI.write(randomMask(geometry), to: path("ours.nii.gz"))
        let result = try ResultFixture.judge(Self.script, [path("ours.nii.gz"), path("theirs.nii"), kind])
        try #require(result.status == 0, "\(result.output)")
        let expected = try NIfTIMasks(path: path("ours.nii.gz")).placed(one, on: ResultFixture.series(geometry))[0]
        let file = try NIfTIMasks(path: path("theirs.nii"))
        #expect(file.labels == [1] && file.name == "theirs")
        let placed = try file.placed(one, on: ResultFixture.series(geometry))
        #expect(placed[0].mask.voxels == expected.mask.voxels)
        if kind != "part" { #expect(placed[0].mask.voxels == randomMask(geometry).voxels) }
    }

    @Test func probabilitiesStayAndTheirUpperHalfIsTheMask() throws {
        var random = Seeded(5)
        let shares = ProbabilityMap(geometry: geometry, voxels: (0..<geometry.count).map { _ in UInt8.random(in: 0...255, using: &random) })
        try NIfTI.write(shares, to: path("shares.nii.gz"))
        let placed = try NIfTIMasks(path: path("shares.nii.gz")).placed(one, on: ResultFixture.series(geometry))[0]
        let found = try #require(placed.probabilities)
        let all = (0..<geometry.size.z).flatMap(found.voxels.plane)
        #expect(all == (0..<geometry.size.z).flatMap(shares.voxels.plane))
        #expect(placed.mask.voxels == all.map { $0 >= 128 ? 1 : 0 })
    }

    @Test(arguments: [SIMD3(0.4, 0, 0), SIMD3(0, 0.3, 0), SIMD3(0, 0, 0.4), SIMD3(0, 0, 4)])
    func masksBetweenThePixelsAreRefusedUnlessResampled(_ shift: SIMD3<Double>) throws {
        let moved = VolumeGeometry(size: geometry.size, spacingMM: geometry.spacingMM, originLPS: geometry.indexToPatient(shift),
                                   columnIndexDirection: geometry.columnIndexDirection, rowIndexDirection: geometry.rowIndexDirection)
        let block = ResultFixture.ellipsoid(moved, center: [0.5, 0.5, 0.5], radiusMM: 6)
        try NIfTI.write(shift.z == 4 ? randomMask(moved) : block, to: path("moved.nii"))
        let file = try NIfTIMasks(path: path("moved.nii")), series = ResultFixture.series(geometry)
        let error = #expect(throws: ImagingError.self) { try file.placed(one, on: series) }
        #expect(error?.code == .otherGrid && error?.message.contains("--resample") == true, "\(error as Any)")
        guard shift.z < 1 else { return }
        let found = try file.placed(one, on: series, resampling: true)[0].mask
        #expect((found.dice(block.resampled(to: geometry)) ?? 0) > 0.95)
    }

    @Test func anotherSpacingOfSlicesIsNotTakenForTheCTs() throws {
        // Every second plane lies on a slice: those between must not stay empty.
        let coarse = VolumeGeometry(size: [20, 26, 5], spacingMM: [0.7, 1.1, 6], originLPS: geometry.originLPS,
                                    columnIndexDirection: geometry.columnIndexDirection, rowIndexDirection: geometry.rowIndexDirection)
        try NIfTI.write(randomMask(coarse), to: path("coarse.nii"))
        let error = #expect(throws: ImagingError.self) { try NIfTIMasks(path: path("coarse.nii")).placed(one, on: ResultFixture.series(geometry)) }
        #expect(error?.message.contains("some of the CT's slices only") == true, "\(error as Any)")
    }

    @Test(arguments: SegmentationOptions.Form.allCases) func ourOwnSegmentationsComeBackVoxelForVoxel(_ form: SegmentationOptions.Form) throws {
        let series = ResultFixture.series(geometry)
        let segments = [ResultFixture.segment("Parotid_L", randomMask(geometry)), ResultFixture.segment("Bone_Mandible", form == .labelmap
            ? Mask(geometry: geometry, voxels: randomMask(geometry).voxels.map { 1 - $0 }) : randomMask(geometry, seed: 9), color: [1, 2, 3])]
        let object = try SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: ResultFixture.context), SegmentationOptions(form: form))
        try object.write(to: path("SEG.dcm"))
        let given = try SegmentationReader.masks(in: DataSet(contentsOf: path("SEG.dcm")), frameOfReferenceUID: series.frameOfReferenceUID)
        #expect(given.structures.map(\.name) == ["Parotid_L", "Bone_Mandible"])
        #expect(given.structures[0].type?.value == "45289007" && given.structures[0].laterality?.value == "7771000")
        #expect(given.structures[0].author?.name == "MedLSAM" && given.structures[0].author?.algorithm?.version == "0.1.0")
        #expect(given.structures[1].color.map { abs(Int($0.x) - 1) + abs(Int($0.y) - 2) + abs(Int($0.z) - 3) } ?? 99 <= 2)
        for (placed, segment) in zip(try given.placed(on: series), segments) { #expect(placed.mask.voxels == segment.mask!.voxels) }
        #expect(throws: ImagingError.self) { try SegmentationReader.masks(in: DataSet(contentsOf: path("SEG.dcm")), frameOfReferenceUID: UID("1.2.3")) }
    }

    @Test func coloursGoThereAndBack() {
        for color: SIMD3<UInt8> in [[255, 0, 0], [0, 255, 0], [12, 200, 90], [255, 255, 255], [0, 0, 0], [41, 121, 255]] {
            let back = sRGB(cieLab: cieLab(color))!
            #expect((0..<3).allSatisfy { abs(Int(back[$0]) - Int(color[$0])) <= 1 }, "\(color) \(back)")
        }
        #expect(sRGB(cieLab: [1, 2]) == nil)
    }

    @Test func brokenNIfTIFilesGetAReason() throws {
        try NIfTI.write(randomMask(geometry), to: path("sound.nii"))
        let sound = [UInt8](try Data(contentsOf: folder.appending(path: "sound.nii")))
        func broken(_ change: (inout [UInt8]) -> Void) throws -> ImagingError? {
            var bytes = sound
            change(&bytes)
            try Data(bytes).write(to: folder.appending(path: "broken.nii"))
            return #expect(throws: ImagingError.self) { try NIfTIMasks(path: path("broken.nii")) }
        }
        #expect(try broken { $0.removeLast() }?.message.contains("truncated") == true)
        #expect(try broken { $0 = Array($0.prefix(200)) }?.message.contains("within its header") == true)
        #expect(try broken { $0 = [] }?.message.contains("no NIfTI file") == true)
        #expect(try broken { $0[345] = 105 }?.message.contains("another file") == true)
        #expect(try broken { $0[254] = 0; $0[252] = 0 }?.message.contains("does not say where it lies") == true)
        #expect(try broken { $0[70] = 128 }?.message.contains("datatype 128") == true)  // RGB24
        #expect(try broken { $0[43] = 0x7F; $0[45] = 0x7F; $0[47] = 0x7F }?.message.contains("dimensions are") == true)
        #expect(try broken { $0[40] = 4; $0[48] = 2 }?.message.contains("more than three dimensions") == true)
        #expect(try broken { $0[110] = 0xC0; $0[111] = 0xFF }?.message.contains("begin at byte") == true)
        #expect(throws: ImagingError.self) { try NIfTIMasks(path: path("is not there.nii")) }
    }

    @Test func anEmptyPlaceIsRefused() throws {
        try NIfTI.write(randomMask(geometry), to: path("sound.nii"))
        var bytes = [UInt8](try Data(contentsOf: folder.appending(path: "sound.nii")))
        bytes.replaceSubrange(280..<328, with: [UInt8](repeating: 0, count: 48))
        bytes[252] = 0
        try Data(bytes).write(to: folder.appending(path: "nowhere.nii"))
        let error = #expect(throws: ImagingError.self) { try NIfTIMasks(path: path("nowhere.nii")) }
        #expect(error?.message.contains("no place") == true)
    }

    @Test func overlappingMasksAreNoLabels() throws {
        let mask = randomMask(geometry)
        let error = #expect(throws: ImagingError.self) { try NIfTI.write(labels: [(1, "A", mask), (2, "B", mask)], on: geometry, to: path("labels.nii")) }
        #expect(error?.code == .overlapping && error?.message.contains("A") == true)
    }
}
