import DICOMCore
import Foundation
import NodeTesting
import Testing
@testable import medlsam_node

/// `convert` at the command line: what it writes, what it refuses and how it says so.
@Suite struct ConvertTests {
    private let folder: URL

    init() throws {
        folder = try Places.temporaryFolder("convert")
        try Phantom.headCT(into: folder.appending(path: "ct"), columns: 32, rows: 32, slices: 10)
    }

    private func path(_ name: String) -> String { folder.appending(path: name).path }

    private func convert(_ masks: [String], _ more: String...) throws -> ToolResult {
        try runTool(program("medlsam-node"), ["convert"] + masks + ["--ct", path("ct"), "--output", path("out")] + more)
    }

    /// Label files as nibabel writes them, on the grid that `volume` tells.
    private func write(_ files: [String: String]) throws {
        #expect(try runTool(program("medlsam-node"), ["volume", path("ct"), "--nifti", path("ct.nii.gz")]).status == 0)
        let script = """
            import sys, numpy as np, nibabel as nib
            ct = nib.load(sys.argv[1])
            i, j, k = np.indices(ct.shape)
            for name, expression in zip(sys.argv[2::2], sys.argv[3::2]):
                nib.save(nib.Nifti1Image(np.asarray(eval(expression)), ct.affine), name)
            """
        let result = try runTool(Places.python, ["-c", script, path("ct.nii.gz")] + files.flatMap { [path($0.key), $0.value] })
        try #require(result.status == 0, "\(result.output)")
    }

    @Test func filesOfTG263NamesBecomeObjectsWithoutATable() throws {
        try write(["Parotid_L.nii.gz": "(np.abs(i - 8) < 4).astype(np.uint8)", "Brainstem.nii": "((i - 16) ** 2 + (j - 16) ** 2 < 20).astype(np.int16)"])
        let result = try convert([path("Parotid_L.nii.gz"), path("Brainstem.nii")], "--made-by", "Atlas 2.0")
        #expect(result.status == 0, "\(result.output)")
        let seg = try DataSet(contentsOf: path("out/SEG.dcm")), rtstruct = try DataSet(contentsOf: path("out/RTSTRUCT.dcm"))
        #expect(seg.items(.segmentSequence).map { $0.string(.segmentLabel) } == ["Parotid_L", "Brainstem"])
        #expect(seg.items(.segmentSequence).allSatisfy { $0.string(.segmentAlgorithmName) == "Atlas 2.0" && $0.string(.segmentAlgorithmType) == "AUTOMATIC" })
        #expect(rtstruct.items(.structureSetROISequence).map { $0.string(.roiName) } == ["Parotid_L", "Brainstem"])
        for file in ["SEG.dcm", "RTSTRUCT.dcm"] {
            #expect(try !runTool(Places.dciodvfy, [path("out/\(file)")]).output.contains("Error"))
            #expect(try !runTool("dcmdump", [path("out/\(file)")]).output.contains("MedLSAM"))
        }
    }

    @Test func labelsNeedATableThatTheWayBackWrites() throws {
        try write(["labels.nii.gz": "np.where(i < 10, 3, np.where(j > 20, 7, 0)).astype(np.uint8)"])
        let untold = try convert([path("labels.nii.gz")], "--method", "manual")
        #expect(untold.status == ExitStatus.usage.rawValue && untold.output.contains("label 3"), "\(untold.output)")
        try "label,name,code,meaning,side\n3,Parotid_R,45289007,Parotid gland,right\n7,GTV,4147007,Mass,\n".write(toFile: path("table.csv"), atomically: true, encoding: .utf8)
        #expect(try convert([path("labels.nii.gz")], "--structures", path("table.csv"), "--method", "manual").status == 0)
        let seg = try DataSet(contentsOf: path("out/SEG.dcm")).items(.segmentSequence)
        #expect(seg.map { $0.string(.segmentAlgorithmType) } == ["MANUAL", "MANUAL"] && seg[1].concept(.segmentedPropertyTypeCodeSequence)?.meaning == "Mass")
        // There and back, by the table that comes with the labels.
        let back = try runTool(program("medlsam-node"), ["convert", path("out/RTSTRUCT.dcm"), "--ct", path("ct"), "--output", path("back"), "--nifti", "labels"])
        #expect(back.status == 0, "\(back.output)")
        let again = try runTool(program("medlsam-node"), ["convert", path("back/labels.nii.gz"), "--ct", path("ct"), "--output", path("again"), "--structures", path("back/structures.json"), "--objects", "SEG"])
        #expect(again.status == 0, "\(again.output)")
        #expect(try DataSet(contentsOf: path("again/SEG.dcm")).bytes(.pixelData) == DataSet(contentsOf: path("out/SEG.dcm")).bytes(.pixelData))
        #expect(try DataSet(contentsOf: path("again/SEG.dcm")).items(.segmentSequence).map { $0.string(.segmentLabel) } == ["Parotid_R", "GTV"])
    }

    @Test func whoMadeTheMasksMustBeKnown() throws {
        try write(["Brainstem.nii": "(i > 20).astype(np.uint8)"])
        let result = try convert([path("Brainstem.nii")])
        #expect(result.status == ExitStatus.usage.rawValue && result.output.contains("--made-by"), "\(result.output)")
        #expect(!FileManager.default.fileExists(atPath: path("out")))
    }

    @Test func aStructureWithoutCodeIsRefusedByName() throws {
        try write(["Something.nii": "(i > 20).astype(np.uint8)"])
        let result = try convert([path("Something.nii")], "--made-by", "x")
        #expect(result.status == ExitStatus.usage.rawValue && result.output.contains("code of Something"), "\(result.output)")
        #expect(try convert([path("Something.nii")], "--nifti", "masks").status == 0, "NIfTI needs no code")
    }

    @Test func masksOffTheGridAreRefusedAndResampledWhenAsked() throws {
        try write(["Brainstem.nii": "(i > 20).astype(np.uint8)"])
        let script = "import sys, nibabel as nib; image = nib.load(sys.argv[1]); a = image.affine.copy(); a[0, 3] += 1.5; nib.save(nib.Nifti1Image(image.get_fdata().astype('u1'), a), sys.argv[1])"
        #expect(try runTool(Places.python, ["-c", script, path("Brainstem.nii")]).status == 0)
        let result = try convert([path("Brainstem.nii")], "--made-by", "x")
        #expect(result.status == ExitStatus.unusableInput.rawValue && result.output.contains("--resample"), "\(result.output)")
        #expect(try convert([path("Brainstem.nii")], "--made-by", "x", "--resample").status == 0)
    }

    @Test func whatIsNotThereOrNoMaskIsSaidSo() throws {
        #expect(try convert([path("none.nii")]).status == ExitStatus.noInput.rawValue)
        let ct = try convert([path("ct/CT.0003.dcm")])
        #expect(ct.status == ExitStatus.unusableInput.rawValue && ct.output.contains("neither SEG nor RTSTRUCT"), "\(ct.output)")
        try "structures:\n  - {label: x}\n".write(toFile: path("table.yaml"), atomically: true, encoding: .utf8)
        #expect(try convert([path("none.nii")], "--structures", path("table.yaml")).status == ExitStatus.configuration.rawValue)
        #expect(try convert([path("none.nii")], "--objects", "SEG,PIZZA").status == ExitStatus.usage.rawValue)
    }

    /// highdicom's and dcmqi's SEG, every reader's view of ours, and the way back: the short form of `make judge-results`.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: Places.python), "needs .local/venv"))
    func othersReadTheVeryMasksThatWentIn() throws {
        for (script, arguments) in [("convert.py", []), ("results.py", ["--only", "oblique"])] {
            let result = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/\(script)").path, program("medlsam-node")] + arguments)
            #expect(result.status == 0 && result.output.contains(" 0 faults"), "\(result.output)")
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: Orthanc.dicomWebPlugin), "needs orthanc-dicomweb"))
    func orthancsDICOMwebReturnsOurObjectsAsTheyAre() async throws {
        try write(["Parotid_L.nii.gz": "(np.abs(i - 8) < 4).astype(np.uint8)", "Brainstem.nii": "((i - 16) ** 2 + (j - 16) ** 2 < 20).astype(np.int16)"])
        let result = try convert([path("Parotid_L.nii.gz"), path("Brainstem.nii")], "--made-by", "Atlas 2.0", "--objects", "SEG,RTSTRUCT,SR,OVERLAY,SUMMARY,PDF")
        try #require(result.status == 0, "\(result.output)")
        let files = try FileManager.default.contentsOfDirectory(atPath: path("out")).filter { $0.hasSuffix(".dcm") }.map { path("out/\($0)") }.sorted()
        #expect(files.count >= 6)
        let orthanc = try await Orthanc.start(in: folder, plugins: [Orthanc.dicomWebPlugin])
        let sent = try runTool(program("medlsam-node"), ["send", "127.0.0.1", "\(orthanc.port)", "-aec", orthanc.aeTitle, "-aet", "TEST"] + files)
        #expect(sent.status == 0, "\(sent.output)")
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/dicomweb.py").path, "http://127.0.0.1:\(orthanc.httpPort)"] + files)
        #expect(verdict.status == 0, "\(verdict.output)")
    }
}
