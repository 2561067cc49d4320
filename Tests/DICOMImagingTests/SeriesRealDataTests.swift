import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

private let hasRealData = Places.hasSharedData && FileManager.default.isExecutableFile(atPath: Places.python)

/// Real scans, judged by pydicom.
@Suite(.enabled(if: hasRealData, "needs the shared data and .local/venv")) struct SeriesRealDataTests {
    private let dicom = Places.shared.appending(path: "data/dicom")

    /// Runs a Python script that writes one array of 16-bit integers to `sys.argv[1]`.
    private func judge(_ script: String, _ arguments: String...) throws -> [Int16] {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let output = folder.appending(path: "judged").path
        let result = try runTool(Places.python, ["-c", "import sys, numpy as np\n" + script, output] + arguments)
        try #require(result.status == 0, "\(result.output)")
        return try Data(contentsOf: URL(filePath: output)).withUnsafeBytes { Array($0.bindMemory(to: Int16.self)) }
    }

    private static let onePixelArray = """
        import pydicom
        pydicom.dcmread(sys.argv[2]).pixel_array.astype('<i2').tofile(sys.argv[1])
        """

    @Test func everyLosslessTransferSyntaxDecodesToTheSameBits() throws {
        let folder = dicom.appending(path: "transfer-syntaxes")
        let expected = try judge(Self.onePixelArray, folder.appending(path: "CTImage.dcm").path)
        for suffix in ["", "_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm", "_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm",
                       "_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm", "_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm",
                       "_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm", "_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm",
                       "_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm", "_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
                       "_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm"] {
            let path = folder.appending(path: "CTImage.dcm" + suffix).path
            let dataSet = try DataSet(contentsOf: path)
            let slice = try CTSlice(dataSet, header: SliceHeader(dataSet), path: path)
            let (words, format) = try FramePixels(dataSet, format: slice.format).words()
            #expect(words.map { Int16(bitPattern: $0) } == expected, "\(suffix)")
            #expect(format == slice.format && slice.lossyCompression == nil, "\(suffix)")
        }
    }

    @Test func lossyTransferSyntaxesAreFlaggedAndClose() throws {
        let folder = dicom.appending(path: "transfer-syntaxes")
        let expected = try judge(Self.onePixelArray, folder.appending(path: "CTImage.dcm").path).map { max(-1024, Int($0) - 1024) }
        // 8-bit files hold steps of 32 HU.
        for (suffix, meanHU) in [("_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50", 20.0), ("_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51", 20),
                                 ("_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53", 20), ("_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55", 20),
                                 ("_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81", 5), ("_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91", 5)] {
            let path = folder.appending(path: "CTImage.dcm\(suffix).dcm").path
            let dataSet = try DataSet(contentsOf: path)
            let slice = try CTSlice(dataSet, header: SliceHeader(dataSet), path: path)
            let (words, format) = try FramePixels(dataSet, format: slice.format).words()
            let table = slice.scale.table(format)
            let mean = Double(zip(words, expected).map { abs(Int(table[Int($0)]) - $1) }.reduce(0, +)) / Double(expected.count)
            #expect(mean > 0 && mean < meanHU, "\(suffix): \(mean) HU")
            let lossy = try #require(slice.lossyCompression, "\(suffix)")
            #expect(lossy.ratio > 1 && !lossy.methods.isEmpty, "\(suffix): \(lossy)")
        }
    }

    @Test func aFolderNamedByASymbolicLinkHoldsWhatItPointsTo() throws {
        let folder = dicom.appending(path: "abdomen"), link = FileManager.default.temporaryDirectory.appending(path: "link-\(UUID())")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: folder)
        defer { try? FileManager.default.removeItem(at: link) }
        func names(_ folder: URL) throws -> [Substring] { try CTSeries.dicomFiles(in: folder.path).map { $0.dropFirst(folder.path.count) } }
        let found = try names(link), expected = try names(folder)
        #expect(found == expected && !found.isEmpty)
    }

    @Test func anAbdomenBecomesTheVolumeThatPydicomReads() throws {
        let folder = dicom.appending(path: "abdomen").path
        let series = try CTSeries.read(paths: try CTSeries.dicomFiles(in: folder))
        let expected = try judge("""
            import pydicom, glob
            slices = sorted((pydicom.dcmread(f) for f in glob.glob(sys.argv[2] + '/*.dcm')), key=lambda d: d.ImagePositionPatient[2])
            hu = np.stack([np.where(d.pixel_array == d.PixelPaddingValue, -1024, d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)) for d in slices])
            np.maximum(hu, -1024).astype('<i2').tofile(sys.argv[1])
            """, folder)
        #expect(series.volume.voxels == expected)
        let geometry = series.volume.geometry
        #expect(geometry.size == [512, 512, 41])
        #expect(geometry.spacingMM == [0.796875, 0.796875, 5])
        #expect(geometry.originLPS == [-198.199997, -204, -375])
        #expect(series.instances.count == 41 && series.instances[0].path.hasSuffix("1-41.dcm"))
        #expect(!series.isLossy && series.warnings.isEmpty)
    }

    /// Hounsfield units at patient positions, by ITK's own mapping between pixels and patient: linear in the two slices around.
    private static let atPositions = """
        import glob, pydicom, SimpleITK as sitk
        slices = []
        for f in glob.glob(sys.argv[2] + '/*.dcm'):
            d = pydicom.dcmread(f)
            image = sitk.GetImageFromArray((d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept)).clip(-1024)[None].astype(float))
            a, b = np.array(d.ImageOrientationPatient[:3], float), np.array(d.ImageOrientationPatient[3:], float)
            a /= np.linalg.norm(a); b -= a * (a @ b); b /= np.linalg.norm(b); n = np.cross(a, b)
            image.SetOrigin([float(v) for v in d.ImagePositionPatient]); image.SetDirection(np.stack([a, b, n], axis=1).ravel().tolist())
            image.SetSpacing([float(d.PixelSpacing[1]), float(d.PixelSpacing[0]), 1])
            slices.append((np.array(d.ImagePositionPatient, float) @ n, image))
        slices.sort(key=lambda s: s[0]); heights = np.array([s[0] for s in slices]); found = []
        for p in np.fromfile(sys.argv[3]).reshape(-1, 3):
            above = min(max(int(np.searchsorted(heights, p @ n)), 1), len(slices) - 1)
            share = (p @ n - heights[above - 1]) / (heights[above] - heights[above - 1])
            values = []
            for _, image in slices[above - 1:above + 1]:
                x, y, _ = image.TransformPhysicalPointToContinuousIndex(p.tolist())
                x, y = (min(max(v, 0), 511) if -0.5 <= v <= 511.5 else v for v in (x, y))
                values.append(image.EvaluateAtContinuousIndex([x, y, 0], sitk.sitkLinear) if max(abs(x - 255.5), abs(y - 255.5)) <= 256 else None)
            low, high = values
            # On a slice, its neighbour says nothing.
            low, high = (low, low) if share < 1e-4 else (high, high) if share > 1 - 1e-4 else (low, high)
            found.append(-1024 if low is high is None else high if low is None else low if high is None else low * (1 - share) + high * share)
        np.array(found).round().astype('<i2').tofile(sys.argv[1])
        """

    @Test func aTiltedGantryWithChangingGapsIsReadAtItsTruePositions() throws {
        let folder = dicom.appending(path: "gantry-tilt").path, paths = try CTSeries.dicomFiles(in: folder)
        for count in [28, 14] {  // both blocks of slices; the first alone, evenly spaced and only tilted
            let copy = try Places.temporaryFolder()
            defer { try? FileManager.default.removeItem(at: copy) }
            for path in paths.prefix(count) { try FileManager.default.copyItem(atPath: path, toPath: copy.appending(path: URL(filePath: path).lastPathComponent).path) }
            let series = try CTSeries.read(paths: Array(paths.prefix(count))), geometry = series.grid.working
            #expect(series.frames.count == count && !series.grid.isRegular)
            #expect(series.warnings.count == 1 && series.warnings[0].contains("leaning by 18.5 degrees"), "\(series.warnings)")
            // 152 mm of table travel at 18.5 degrees are 48 mm, 99 rows.
            #expect(geometry.size == (count == 28 ? [512, 611, 37] : [512, 548, 14]) && (geometry.spacingMM.z - 4.002).magnitude < 0.001)
            var random = Seeded(5)
            let offsets = (0..<4000).map { _ in Int.random(in: 0..<geometry.count, using: &random) }
            let points = offsets.flatMap { offset in
                let p = geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: offset)))
                return [p.x, p.y, p.z]
            }
            let file = copy.appending(path: "points").path
            try points.withUnsafeBytes { Data($0) }.write(to: URL(filePath: file))
            let expected = try judge(Self.atPositions, copy.path, file)
            let differences = zip(offsets, expected).map { abs(Int(series.volume.voxels[$0]) - Int($1)) }
            // Shifts of a ten-thousandth of a pixel are rounding to us, not to ITK.
            let worst = differences.indices.max { differences[$0] < differences[$1] }!
            #expect(differences[worst] <= 2, "\(differences.count { $0 > 2 }) of \(count), at \(geometry.index(atOffset: offsets[worst])): \(series.volume.voxels[offsets[worst]]) not \(expected[worst])")
        }
    }

    @Test(arguments: ["highdicom", "dcmulti"]) func anAbdomenJoinedIntoOneImageIsTheSameVolume(tool: String) throws {
        let folder = try Places.temporaryFolder(), slices = folder.appending(path: "slices").path, joined = folder.appending(path: "CT.dcm").path
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(atPath: slices, withIntermediateDirectories: true)
        for path in try CTSeries.dicomFiles(in: dicom.appending(path: "abdomen").path).prefix(12) {
            try FileManager.default.copyItem(atPath: path, toPath: slices + "/" + URL(filePath: path).lastPathComponent)
        }
        let made = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/frames.py").path, tool, slices, joined])
        try #require(made.status == 0, "\(made.output)")
        let series = try CTSeries.read(paths: [joined]), same = try CTSeries.read(paths: try CTSeries.dicomFiles(in: slices))
        #expect(series.volume.voxels == same.volume.voxels && series.frames.count == 12 && series.instances.count == 1)
        let apart = series.grid.originsLPS[0] - same.grid.originsLPS[0]
        #expect(max(apart.max(), -apart.min()) < 1e-3 && (series.grid.working.spacingMM - same.grid.working.spacingMM).max().magnitude < 1e-6)
    }

    @Test(arguments: ["no-pixel-data.dcm", "no-pixel-spacing.dcm"])
    func whatIsNoSliceIsRefusedByItself(name: String) throws {
        let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: [dicom.appending(path: "transfer-syntaxes/\(name)").path]) }
        #expect(error.message.contains("Instance ") || error.message.contains("File "), "\(error)")
    }

    @Test func aPlanningScanLiesInPatientSpaceAsItsSourceSays() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let npz = Places.shared.appending(path: "data/openkbp/train/pt_190.npz").path
        let made = try runTool(Places.python, [Places.shared.appending(path: "tools/openkbp2dicom.py").path, npz, folder.path])
        try #require(made.status == 0, "\(made.output)")
        let series = try CTSeries.read(paths: try CTSeries.dicomFiles(in: folder.path))
        // Row 0 is anterior, column 0 the patient's right, slice 0 superior: k runs the other way.
        let expected = try judge("""
            hu = np.clip(np.load(sys.argv[2])['ct'].astype(int), 0, 4095) - 1000
            hu.transpose(2, 0, 1)[::-1].astype('<i2').tofile(sys.argv[1])
            """, npz)
        #expect(series.volume.voxels == expected)
        let geometry = series.volume.geometry
        #expect(geometry.columnIndexDirection == [1, 0, 0] && geometry.rowIndexDirection == [0, 1, 0] && geometry.sliceIndexDirection == [0, 0, 1])
        #expect(abs(geometry.centreLPS.x) < 1e-3 && abs(geometry.centreLPS.y) < 1e-3 && geometry.originLPS.z == 0)
        // The structure set beside it is left out, aloud.
        #expect(series.warnings.count == 1)
    }
}
