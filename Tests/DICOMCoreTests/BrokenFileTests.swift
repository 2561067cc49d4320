import DICOMCore
import Foundation
import NodeTesting
import Testing

private typealias Tag = DICOMCore.Tag

@Suite struct BrokenFileTests {
    /// Reads everything of a data set, so that whatever is broken in it is touched.
    private func walk(_ set: DataSet, depth: Int = 0) -> Int {
        var count = 0
        for tag in [Tag.patientName, .imageType, .sopInstanceUID, .specificCharacterSet] { count += set.strings(tag).count }
        for tag in [Tag.rows, .pixelSpacing, .imagePositionPatient, .windowCenter, .pixelPaddingValue] { count += set.doubles(tag).count }
        count += set.bytes(.pixelData)?.count ?? 0
        for tag in [Tag.referencedStudySequence, .referencedImageSequence, .procedureCodeSequence, .sourceImageSequence, .roiContourSequence, .contourSequence] where depth < 8 {
            for item in set.items(tag) { count += walk(item, depth: depth + 1) }
        }
        return count
    }

    /// Mutates the headers of a file, reads it and counts what was refused.
    private func mutate(_ original: [UInt8], times: Int, seed: UInt64) throws -> (read: Int, refused: Int) {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        var random = Seeded(seed)
        var (read, refused) = (0, 0)
        for _ in 0..<times {
            var bytes = original
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let at = Int.random(in: 128..<min(bytes.count, 4096), using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random)!
                case 2: bytes.replaceSubrange(at..<min(at + 4, bytes.count), with: [0xFF, 0xFF, 0xFF, 0xFF])
                default: bytes.removeSubrange(at..<min(at + Int.random(in: 1...64, using: &random), bytes.count))
                }
            }
            if Bool.random(using: &random) { bytes.removeSubrange(Int.random(in: 132..<bytes.count, using: &random)...) }
            let path = folder.appending(path: "m.dcm").path
            FileManager.default.createFile(atPath: path, contents: Data(bytes))
            for stop in [nil, Tag.pixelData] {
                do {
                    let set = try DataSet(contentsOf: path, stoppingBefore: stop)
                    _ = walk(set)
                    try? set.write(to: path + ".out", transferSyntax: .implicitVRLittleEndian)
                    read += 1
                } catch { refused += 1 }
            }
        }
        return (read, refused)
    }

    @Test func mutationsOfAGeneratedFileNeverCrash() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let set = DataSet()
        try set.set(.sopClassUID, SOPClass.rtStructureSetStorage)
        try set.set(.sopInstanceUID, "2.25.7")
        try set.set(.pixelSpacing, [1, 2])
        for _ in 0..<4 {
            let contour = try set.addItem(.roiContourSequence).addItem(.contourSequence)
            try contour.set(.contourData, (0..<30).map(Double.init))
            try contour.set(.contourGeometricType, "CLOSED_PLANAR")
        }
        try set.write(to: folder.appending(path: "a.dcm").path)
        let original = try [UInt8](Data(contentsOf: folder.appending(path: "a.dcm")))
        let (read, refused) = try mutate(original, times: 1500, seed: 1)
        #expect(read > 0 && refused > 0)
    }

    @Test(.enabled(if: Places.hasSharedData))
    func mutationsOfRealFilesNeverCrash() throws {
        let folder = Places.shared.appending(path: "data/dicom/transfer-syntaxes")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() where name.hasSuffix(".dcm") {
            var original = try [UInt8](Data(contentsOf: folder.appending(path: name)))
            if original.count > 40_000 { original.removeSubrange(40_000...) }
            let (read, refused) = try mutate(original, times: 100, seed: 2)
            #expect(read + refused == 200)
        }
    }

    @Test func whatIsNoDICOMFileIsRefused() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let contents: [[UInt8]] = [[], [0], Array("hello, world".utf8), [UInt8](repeating: 0, count: 128) + Array("DICM".utf8), [UInt8](repeating: 0xFF, count: 5000)]
        for (index, bytes) in contents.enumerated() {
            let path = folder.appending(path: "\(index)").path
            FileManager.default.createFile(atPath: path, contents: Data(bytes))
            let error = #expect(throws: DICOMError.self) { try DataSet(contentsOf: path) }
            #expect(error?.code == .cannotRead && error?.message.hasPrefix(path) == true)
        }
        #expect(throws: DICOMError.self) { try DataSet(contentsOf: folder.path) }
        #expect(throws: DICOMError.self) { try DataSet(contentsOf: folder.path + "/absent") }
    }

    @Test func sequencesNestedWithoutEndAreRefused() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let set = DataSet()
        try set.set(.sopClassUID, SOPClass.ctImageStorage)
        try set.set(.sopInstanceUID, "2.25.7")
        let path = folder.appending(path: "deep.dcm").path
        try set.write(to: path)
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        let level: [UInt8] = [0x08, 0x00, 0x40, 0x11] + Array("SQ".utf8) + [0, 0, 0xFF, 0xFF, 0xFF, 0xFF] + [0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]
        for _ in 0..<200_000 { bytes += level }
        FileManager.default.createFile(atPath: path, contents: Data(bytes))
        #expect(throws: DICOMError.self) { try DataSet(contentsOf: path, stoppingBefore: .pixelData) }
    }
}
