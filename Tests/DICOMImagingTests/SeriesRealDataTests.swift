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
            #expect(format == slice.format && !slice.isLossy, "\(suffix)")
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
            #expect(slice.isLossy, "\(suffix)")
        }
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
