import DICOMCore
import Foundation
import NodeTesting
import Testing

@Suite struct SamplesTests {
    /// An InVesalius project of 2 slices, 2 rows and 3 columns, in which each voxel holds its own index.
    private func project(in folder: URL, bytes: Int = 24) throws -> String {
        let inside = folder.appending(path: "tmpproject")
        try FileManager.default.createDirectory(at: inside, withIntermediateDirectories: true)
        let plist: [String: Any] = [
            "name": "small", "date": "2012-09-14T15:12:08.790000", "modality": "CT", "spacing": [0.5, 0.75, 1.5],
            "window_width": 400.0, "window_level": 40.0,
            "matrix": ["filename": "matrix.dat", "dtype": "int16", "shape": [2, 2, 3]],
        ]
        try PropertyListSerialization.data(fromPropertyList: plist, format: .xml, options: 0).write(to: inside.appending(path: "main.plist"))
        let voxels = (0..<Int16(12)).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
        try Data(voxels.prefix(bytes)).write(to: inside.appending(path: "matrix.dat"))
        let file = folder.appending(path: "small.inv3").path
        try runTool("tar", ["-czf", file, "-C", folder.path, "tmpproject"])
        return file
    }

    @Test func anInvesaliusProjectBecomesACTSeriesThatDciodvfyAccepts() throws {
        let folder = try Places.temporaryFolder()
        let output = folder.appending(path: "ct").path
        let result = try runTool(program("convert-invesalius"), [try project(in: folder), output])
        #expect(result.status == 0, "\(result.output)")

        let slice = try DataSet(contentsOf: output + "/CT.0002.dcm")
        #expect(slice.doubles(.imagePositionPatient) == [-0.5, -0.375, 1.5])
        #expect(slice.doubles(.pixelSpacing) == [0.75, 0.5])
        // The project's rows run from posterior to anterior, DICOM's the other way.
        #expect(slice.bytes(.pixelData) == [9, 0, 10, 0, 11, 0, 6, 0, 7, 0, 8, 0])
        let verdict = try runTool(Places.dciodvfy, [output + "/CT.0002.dcm"])
        #expect(!verdict.output.contains("Error"), "\(verdict.output)")
    }

    @Test func theSameProjectGivesTheSameInstances() throws {
        let folder = try Places.temporaryFolder()
        let file = try project(in: folder)
        for run in ["a", "b"] { try runTool(program("convert-invesalius"), [file, folder.appending(path: run).path]) }
        #expect(try runTool("diff", ["-r", folder.appending(path: "a").path, folder.appending(path: "b").path]).status == 0)
    }

    @Test func aProjectWithMissingVoxelsIsRefused() throws {
        let folder = try Places.temporaryFolder()
        let result = try runTool(program("convert-invesalius"), [try project(in: folder, bytes: 20), folder.appending(path: "ct").path])
        #expect(result.status == 65)
        #expect(result.output.contains("20 bytes do not fill a volume of [2, 2, 3]"))
    }
}
