import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct StructureSetReaderTests {
    private func structureSet(_ rois: [(name: String, contours: [(type: String, points: [SIMD3<Double>])])], _ geometry: VolumeGeometry) throws -> DataSet {
        let d = DataSet()
        try d.set(.sopClassUID, SOPClass.rtStructureSetStorage)
        try d.set(.sopInstanceUID, "1.2.3")
        for (n, roi) in rois.enumerated() {
            let item = try d.addItem(.structureSetROISequence)
            try item.set(.roiNumber, n + 1)
            try item.set(.roiName, roi.name)
            let drawn = try d.addItem(.roiContourSequence)
            try drawn.set(.referencedROINumber, n + 1)
            for contour in roi.contours {
                let c = try drawn.addItem(.contourSequence)
                try c.set(.contourGeometricType, contour.type)
                try c.set(.contourData, contour.points.map(geometry.indexToPatient).flatMap { [$0.x, $0.y, $0.z] })
            }
        }
        return d
    }

    private func square(_ low: Double, _ high: Double, slice: Double = 2) -> [SIMD3<Double>] { [[low, low, slice], [high, low, slice], [high, high, slice], [low, high, slice]] }

    @Test func everyWayToTellAHoleIsRead() throws {
        let geometry = ResultFixture.geometry(24, 24, 5, oblique: true)
        let outer = square(1.5, 17.5), hole = square(4.5, 14.5), island = square(7.5, 11.5)
        let keyhole = [outer[0], hole[0], hole[3], hole[2], hole[1], hole[0], outer[0], outer[1], outer[2], outer[3]]
        let planar = "CLOSED_PLANAR", xor = "CLOSEDPLANAR_XOR"
        let d = try structureSet([
            ("xor", [(xor, outer), (xor, hole), (xor, island)]), ("nested", [(planar, island), (planar, outer), (planar, hole)]),
            ("keyhole", [(planar, keyhole), (planar, island)]), ("joined", [(planar, outer), (planar, square(10.5, 21.5))]),
            ("xor overlapping", [(xor, outer), (xor, square(10.5, 21.5))]), ("twice", [(planar, outer), (planar, outer)]),
        ], geometry)
        let sizes = try StructureSetReader.masks(in: d, geometry: geometry).mapValues(\.count)
        #expect(sizes == ["xor": 172, "nested": 172, "keyhole": 172, "joined": 256 + 121 - 49, "xor overlapping": 256 + 121 - 98, "twice": 256])
    }

    @Test func whatIsPassedOverIsToldWithObjectAndReason() throws {
        let geometry = ResultFixture.geometry(24, 24, 5)
        let d = try structureSet([
            ("Good", [("CLOSED_PLANAR", square(1.5, 9.5)), ("CLOSED_PLANAR", square(1.5, 9.5, slice: 40)), ("POINT", [[1, 1, 1]]), ("CLOSED_PLANAR", [[2, 2, 1], [8, 2, 2], [8, 8, 2]]),
                      ("CLOSED_PLANAR", [[1, 1, 1], [2, 2, 1]])]),
            ("Same", [("CLOSED_PLANAR", square(1.5, 9.5))]), ("Same", [("CLOSED_PLANAR", square(1.5, 9.5))]), ("Empty", []),
        ], geometry)
        var names: [String] = []
        let warnings = try StructureSetReader.read(d, grid: SourceGrid(geometry)) { name, _ in names.append(name) }
        #expect(names == ["Good"])
        #expect(warnings == [
            "Structure set 1.2.3: 1 ROIs have no contours, or no number or name.",
            "Structure set 1.2.3: 1 contours of ROI 1 passed over: beyond the slices.", "Structure set 1.2.3: 1 contours of ROI 1 passed over: coordinates are missing, broken or too few.",
            "Structure set 1.2.3: 1 contours of ROI 1 passed over: not closed planar.", "Structure set 1.2.3: 1 contours of ROI 1 passed over: not in the plane of a slice.",
            "Structure set 1.2.3: ROIs 2, 3 passed over: they share a name.",
        ], "\(warnings)")
        for n in 0...StructureSetReader.maximumROIs { try d.addItem(.structureSetROISequence).set(.roiNumber, n) }
        let error = #expect(throws: ImagingError.self) { try StructureSetReader.masks(in: d, geometry: geometry) }
        #expect(error?.message == "Structure set 1.2.3: 1005 ROIs, more than 1000.")
    }

    @Test func contoursTooLongForTheirVRAreReadAsOthersWriteThem() throws {
        // pydicom, too, writes an element over 64 KB in explicit VR as UN.
        let geometry = ResultFixture.geometry(20, 20, 5), folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let ring = (0..<4000).map { n -> SIMD3<Double> in [10 + 7.2 * cos(Double(n) / 4000 * 2 * .pi), 10 + 7.2 * sin(Double(n) / 4000 * 2 * .pi), 2] }
        let path = folder.appending(path: "RT.dcm").path
        try structureSet([("Long", [("CLOSED_PLANAR", ring)])], geometry).write(to: path, transferSyntax: .implicitVRLittleEndian)
        let script = """
            import sys, pydicom
            d = pydicom.dcmread(sys.argv[1])
            for roi in d.ROIContourSequence:
                for c in roi.ContourSequence:
                    text = "\\\\".join(str(v) for v in c.ContourData).encode()
                    c[0x30060050] = pydicom.DataElement(0x30060050, "UN", text + b" " * (len(text) % 2))
            d.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            d.save_as(sys.argv[1], implicit_vr=False, little_endian=True)
            """
        let made = try ResultFixture.judge(script, [path])
        #expect(made.status == 0, "\(made.output)")
        let mask = try #require(try StructureSetReader.masks(in: DataSet(contentsOf: path), geometry: geometry)["Long"])
        let expected = (0..<400).filter { hypot(Double($0 % 20) - 10, Double($0 / 20) - 10) < 7.2 }.count
        #expect(mask.count == expected)
    }

    /// Spoils a structure set a thousand times, byte by byte: it is read in part, or refused with its reason, and nothing breaks.
    @Test(arguments: [TransferSyntax.explicitVRLittleEndian, .implicitVRLittleEndian]) func spoiltStructureSetsAreReadInPartOrRefused(_ syntax: TransferSyntax) throws {
        let geometry = ResultFixture.geometry(24, 20, 6), folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "RT.dcm").path, spoilt = folder.appending(path: "spoilt.dcm").path
        try StructureSetWriter.make(ContouredSeries(segments: ResultFixture.segments(geometry), series: ResultFixture.series(geometry), source: ResultFixture.source(),
                                                    context: ResultFixture.context)).dataSet.write(to: path, transferSyntax: syntax)
        let sound = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        let texts = ["\\\\", "1e308", "-1e308", "nan", "inf", "999999999999", "CLOSEDPLANAR_XOR", "\0\0\0\0", "\u{7F}"].map { Array($0.utf8) }
        var random = Seeded(11), read = 0, refused = 0
        for _ in 0..<1000 {
            var bytes = sound
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Mostly within the contours, which are the greater part; meta information is DCMTK's.
                let at = Int.random(in: 300..<bytes.count - 20, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.replaceSubrange(at..<at + 4, with: [255, 255, 255, 255])
                case 2: let text = texts.randomElement(using: &random)!; bytes.replaceSubrange(at..<at + text.count, with: text)
                case 3: bytes.removeSubrange(at..<at + Int.random(in: 1...16, using: &random))
                default: bytes.removeSubrange(at...)
                }
                guard bytes.count > 400 else { break }
            }
            try Data(bytes).write(to: URL(fileURLWithPath: spoilt))
            do {
                _ = try StructureSetReader.masks(in: DataSet(contentsOf: spoilt), geometry: geometry)
                read += 1
            } catch let error as DICOMError { #expect(error.code == .cannotRead, "\(error)"); refused += 1 } catch let error as ImagingError {
                #expect(error.code == .structureSetUnusable && error.message.hasPrefix("Structure set "), "\(error)")
                refused += 1
            }
        }
        #expect(read > 100 && refused > 100, "\(read) read, \(refused) refused")
    }
}
