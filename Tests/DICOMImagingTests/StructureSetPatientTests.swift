import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// A real head and neck CT with its clinical contours, made into DICOM by a script we did not write.
@Suite(.enabled(if: Places.hasSharedData)) struct StructureSetPatientTests {
    @Test func aPatientsContoursAreReadWrittenAndReadBackWithoutLoss() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let npz = Places.shared.appending(path: "data/openkbp/validation/pt_201.npz").path, ct = folder.appending(path: "ct").path
        let made = try runTool(Places.python, [Places.shared.appending(path: "tools/openkbp2dicom.py").path, npz, ct])
        try #require(made.status == 0, "\(made.output)")
        let series = try CTSeries.read(paths: CTSeries.dicomFiles(in: ct).filter { $0.contains("CT.") })
        let clinical = try StructureSetReader.masks(in: DataSet(contentsOf: ct + "/RTSTRUCT.dcm"), geometry: series.volume.geometry,
                                                    frameOfReferenceUID: series.frameOfReferenceUID)
        let segments = clinical.sorted { $0.key < $1.key }.map { ResultFixture.segment($0.key, $0.value) }
        let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
        let seg = try SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context))
        try seg.write(to: folder.appending(path: "SEG.dcm").path)
        let rt = try StructureSetWriter.make(ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context))
        try rt.write(to: folder.appending(path: "RT.dcm").path)
        for name in ["SEG.dcm", "RT.dcm"] { #expect(try ResultFixture.complaints(about: folder.appending(path: name).path) == []) }
        let judged = try ResultFixture.judge(Self.judge, [npz, folder.path, Places.shared.appending(path: "tools").path])
        let lines = judged.output.split(separator: "\n")
        #expect(judged.status == 0 && lines.count == clinical.count && lines.count >= 5, "\(judged.output)")
        #expect(lines.allSatisfy { $0.hasSuffix("SEG 1.0 RTSTRUCT 1.0") }, "\(judged.output)")
    }

    /// Dice of both objects, each structure, against the labels that the script drew its contours from.
    private static let judge = """
        import sys, numpy as np, pydicom, highdicom as hd
        from skimage.draw import polygon
        npz, folder, tools = sys.argv[1:]
        sys.path.insert(0, tools)
        from openkbp2dicom import STRUCTURES
        z = np.load(npz)
        rows, columns, slices = z["lab"].shape
        dy, dx, dz = z["vox"].astype(float)
        dice = lambda a, b: 2 * (a & b).sum() / (a.sum() + b.sum())
        seg, rt = hd.seg.segread(folder + "/SEG.dcm"), pydicom.dcmread(folder + "/RT.dcm")
        for segment, roi, contours in zip(seg.SegmentSequence, rt.StructureSetROISequence, rt.ROIContourSequence):
            truth = ((z["lab"] >> STRUCTURES.index(roi.ROIName)) & 1).astype(bool)
            inSEG, inRT = np.zeros_like(truth), np.zeros_like(truth)
            for frame, item in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence):
                if item.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment.SegmentNumber:
                    inSEG[:, :, slices - 1 - round(float(item.PlanePositionSequence[0].ImagePositionPatient[2]) / dz)] |= frame > 0
            for c in contours.ContourSequence:
                x, y, h = np.array(c.ContourData, float).reshape(-1, 3).T
                plane = inRT[:, :, slices - 1 - round(h[0] / dz)]
                plane[polygon(y / dy + (rows - 1) / 2, x / dx + (columns - 1) / 2, plane.shape)] ^= True
            print(roi.ROIName, segment.SegmentLabel == roi.ROIName, "ml", round(truth.sum() * dx * dy * dz / 1000, 1),
                  "SEG", dice(truth, inSEG), "RTSTRUCT", dice(truth, inRT))
        """
}
