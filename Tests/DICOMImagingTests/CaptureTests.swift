import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct CaptureTests {
    /// How a series was acquired.
    enum Acquisition: String, CaseIterable {
        case axial, prone, tiny, oblong, oblique, sagittal, coronal

        var geometry: VolumeGeometry {
            func turned(_ columns: Int, _ rows: Int, _ slices: Int, _ spacing: SIMD3<Double>, _ a: SIMD3<Double>, _ b: SIMD3<Double>) -> VolumeGeometry {
                VolumeGeometry(size: [columns, rows, slices], spacingMM: spacing, originLPS: [10, -20, 30], columnIndexDirection: a, rowIndexDirection: b)
            }
            return switch self {
            case .axial: turned(80, 72, 40, [2, 2, 3], [1, 0, 0], [0, 1, 0])
            case .prone: turned(80, 72, 40, [2, 2, 3], [-1, 0, 0], [0, -1, 0])
            case .tiny: turned(21, 22, 20, [8, 8, 8], [1, 0, 0], [0, 1, 0])
            case .oblong: turned(60, 102, 40, [3, 1.5, 3], [1, 0, 0], [0, 1, 0])
            case .oblique: ResultFixture.geometry(80, 72, 40, spacing: [2, 2, 3], oblique: true)
            case .sagittal: turned(70, 60, 40, [2, 2, 3], [0, 1, 0], [0, 0, -1])
            case .coronal: turned(70, 60, 40, [2, 2, 3], [1, 0, 0], [0, 0, -1])
            }
        }
    }

    @Test(arguments: Acquisition.allCases)
    func theOverlayShowsEachSliceWithItsContoursInTheirPlaces(acquisition: Acquisition) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        // Where the longer side is as long as asked for, a pixel of the picture is one of the source.
        let options = CaptureOptions(windowCenter: 60, windowWidth: 700, size: acquisition == .tiny ? 512 : 64, slices: acquisition == .oblique ? .all : .contoured)
        let contoured = try CaptureCase.compass(acquisition.geometry)
        let objects = try OverlayWriter.make(contoured, options)
        for (n, object) in objects.enumerated() { try object.write(to: folder.appending(path: "OVERLAY-\(n).dcm").path) }
        try CaptureCase(contoured, options, exact: ![.tiny, .oblong].contains(acquisition)).judge("overlay", contoured, in: folder)
        #expect(try ResultFixture.complaints(about: folder.appending(path: "OVERLAY-0.dcm").path) == [])
    }

    @Test(arguments: Acquisition.allCases)
    func onTheSheetLeftIsLeftWhateverThePlanesOfTheSeries(acquisition: Acquisition) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let contoured = try CaptureCase.compass(acquisition.geometry), options = CaptureOptions()
        try SummaryWriter.make(contoured, options).write(to: folder.appending(path: "SUMMARY.dcm").path)
        try DocumentWriter.make(contoured, options).write(to: folder.appending(path: "PDF.dcm").path)
        var judged = CaptureCase(contoured, options)
        judged.texts = ["AUTOMATIC, UNAPPROVED, NOT FOR DIAGNOSIS", "Larynx withheld: confidence 0.21 is under 0.5", "head-neck version 1", "medlsam-node 0.1.0",
                        "lite-medsam 1.0", "CT series 3", "centre 40, width 400 HU", "0.83"]
        judged.secrets = ["termann", "P-17", "1964"]
        judged.created = "Mon Sep 21 14:13:20 2026"
        // An oblique scan's letters are two, and its planes cut only what lies in them.
        if acquisition != .oblique {
            judged.sides = ["axial": ["Leftward": ["L": [1, 0]], "Forward": ["A": [0, -1]]], "coronal": ["Leftward": ["L": [1, 0]], "Headward": ["H": [0, -1]]],
                            "sagittal": ["Forward": ["A": [-1, 0]], "Headward": ["H": [0, -1]]]]
        }
        try judged.judge("sheet", contoured, in: folder)
        for name in ["SUMMARY", "PDF"] { #expect(try ResultFixture.complaints(about: folder.appending(path: "\(name).dcm").path) == []) }
    }

    @Test func manyStructuresLongNamesAndForeignLettersAllFindTheirPlace() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = Acquisition.axial.geometry
        var names = (1...36).map { "Structure_\($0)" }
        names += ["Größe_Ähre_Œil", "Μύελος_Łódź", "左腮腺", "כבד", String(repeating: "Long_name_", count: 6) + "_L"]
        let masks = (0..<6).map { ResultFixture.ellipsoid(geometry, center: [0.3 + 0.07 * Double($0), 0.5, 0.5], radiusMM: 20) }
        let segments = names.enumerated().map { n, name in
            ResultFixture.segment(name, n % 5 == 4 ? nil : masks[n % 6], state: n % 5 == 4 ? .failed(reason: "the decoder gave no mask") : .segmented,
                                  color: [UInt8(n * 6), 255 - UInt8(n * 5), 90])
        }
        let contoured = try ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context)
        try SummaryWriter.make(contoured).write(to: folder.appending(path: "SUMMARY.dcm").path)
        try DocumentWriter.make(contoured).write(to: folder.appending(path: "PDF.dcm").path)
        var judged = CaptureCase(contoured, .init())
        // What the font cannot draw, or nothing here puts in order, is told by code point.
        judged.texts = names[..<38] + ["<U+5DE6><U+816E><U+817A>", "<U+05DB><U+05D1><U+05D3>", names[40]]
        judged.structures = []
        judged.created = "2026"
        try judged.judge("sheet", contoured, in: folder)
        let overlays = try OverlayWriter.make(contoured)
        #expect(!overlays.isEmpty && overlays.allSatisfy { $0.dataSet.integer(.rows)! >= 512 })
    }

    @Test func everyReaderRendersThePicture() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let contoured = try CaptureCase.compass(Acquisition.axial.geometry)
        let objects = [try OverlayWriter.make(contoured)[7], try SummaryWriter.make(contoured), try DocumentWriter.make(contoured)]
        let paths = ["overlay", "summary", "document"].map { folder.appending(path: "\($0).dcm").path }
        for (object, path) in zip(objects, paths) { try object.write(to: path) }
        let orthanc = try await Orthanc.start(in: folder)
        let sent = try runTool("storescu", ["-R", "-aec", orthanc.aeTitle, "127.0.0.1", "\(orthanc.port)"] + paths)
        #expect(sent.status == 0, "\(sent.output)")
        for (modality, count) in [("OT", 2), ("DOC", 1)] { #expect(try orthanc.instances(modality: modality).count == count) }
        for path in paths.prefix(2) {
            let sop = try DataSet(contentsOf: path, stoppingBefore: .pixelData).string(.sopInstanceUID)!
            let preview = folder.appending(path: "preview.png"), pnm = folder.appending(path: "dcm2pnm.ppm").path, raw = folder.appending(path: "gdcm.dcm").path
            try orthanc.preview(ofSOPInstance: sop, to: preview)
            #expect(try runTool("dcm2pnm", ["--write-raw-pnm", path, pnm]).status == 0)
            // GDCM decodes and writes again.
            #expect(try runTool("gdcmconv", ["--raw", path, raw]).status == 0)
            #expect(try runTool("dcm2pnm", ["--write-raw-pnm", raw, pnm + "2"]).status == 0)
            for picture in [preview.path, pnm, pnm + "2"] {
                let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/captures.py").path, "rendered", picture, path])
                #expect(verdict.status == 0, "\(verdict.output)")
            }
            #expect(try runTool("gdcminfo", [path]).output.contains("PhotometricInterpretation: RGB"))
            #expect(try runTool("dcmdump", ["-q", path]).status == 0)
        }
    }

    @Test(.enabled(if: Places.hasSharedData)) func aTiltedScanIsShownOnItsOwnSlices() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let series = try CTSeries.read(paths: CTSeries.dicomFiles(in: Places.shared.appending(path: "data/dicom/gantry-tilt").path))
        #expect(!series.grid.isRegular)
        let working = series.grid.working
        let ball = ResultFixture.segment("Ball", ResultFixture.ellipsoid(working, center: [0.45, 0.5, 0.5], radiusMM: 30), color: [255, 0, 0])
        let contoured = try ContouredSeries(segments: [ball], series: series, source: DataSet(contentsOf: series.frames[0].instance.path, stoppingBefore: .pixelData), context: ResultFixture.context)
        let options = CaptureOptions()
        for (n, object) in try OverlayWriter.make(contoured, options).enumerated() { try object.write(to: folder.appending(path: "OVERLAY-\(n).dcm").path) }
        try CaptureCase(contoured, options, exact: true).judge("overlay", contoured, in: folder)
        // A slice that was read again is the file's own.
        let voxels = try series.sourceVoxels(), k = 9, plane = series.grid.columns * series.grid.rows
        let own = try ResultFixture.judge("""
            import sys, numpy as np, pydicom
            d = pydicom.dcmread(sys.argv[1])
            units = np.maximum(d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept), -1024)
            print(int(units.sum()))
            """, [series.frames[k].instance.path])
        #expect(own.output == "\(voxels[k * plane..<(k + 1) * plane].reduce(0) { $0 + Int($1) })\n")
        #expect(try !SummaryWriter.png(contoured).isEmpty)
    }

    @Test func theSameInputGivesTheSameBytesAndOtherOptionsOtherUIDs() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        func files(_ name: String) throws -> [Data] {
            let contoured = try CaptureCase.compass(Acquisition.axial.geometry)
            return try [OverlayWriter.make(contoured)[3], SummaryWriter.make(contoured), DocumentWriter.make(contoured)].map { object in
                let path = folder.appending(path: "\(name) \(object.sopInstanceUID)").path
                try object.write(to: path)
                return try Data(contentsOf: URL(fileURLWithPath: path))
            }
        }
        #expect(try files("first") == files("second"))
        let contoured = try CaptureCase.compass(Acquisition.axial.geometry), narrow = CaptureOptions(windowWidth: 80)
        #expect(try OverlayWriter.make(contoured)[0].seriesInstanceUID != OverlayWriter.make(contoured, narrow)[0].seriesInstanceUID)
        #expect(try SummaryWriter.make(contoured).sopInstanceUID != SummaryWriter.make(contoured, narrow).sopInstanceUID)
        #expect(try DocumentWriter.make(contoured).sopInstanceUID != DocumentWriter.make(contoured, narrow).sopInstanceUID)
    }

    @Test func withoutAnyMaskTheSheetTellsWhyAndThereIsNoOverlay() throws {
        let geometry = ResultFixture.geometry(30, 30, 9), segments = ResultFixture.segments(geometry).filter { $0.mask == nil }
        let contoured = try ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context)
        let error = #expect(throws: ImagingError.self) { try OverlayWriter.make(contoured) }
        #expect(error?.code == .nothingSegmented)
        #expect(try DocumentWriter.make(contoured).dataSet.integer(.encapsulatedDocumentLength)! > 1000)
        #expect(try SummaryWriter.png(contoured).starts(with: [0x89] + Array("PNG".utf8)))
    }

    @Test func aMissingFontIsAnErrorThatNamesIt() {
        let error = #expect(throws: ImagingError.self) { try Typeface.folder(among: ["/nowhere"]) }
        #expect(error?.code == .cannotDraw)
        #expect(error?.message.contains("DejaVuSans.ttf") == true && error?.message.contains("/nowhere") == true)
    }

    /// `CAPTURE_SLICES=300` says how long a series takes; nobody's test waits for that.
    /// Prints how long it takes; CAPTURE_SLICES=300 for a whole scan.
    @Test func aSeriesOfLargeSlicesIsDrawn() throws {
        let slices = ProcessInfo.processInfo.environment["CAPTURE_SLICES"].flatMap { Int($0) } ?? 8
        let geometry = ResultFixture.geometry(512, 512, slices, spacing: [0.9, 0.9, 1.5])
        let segments = (0..<8).map { ResultFixture.segment("S\($0)", ResultFixture.ellipsoid(geometry, center: [0.1 * Double($0 + 1), 0.5, 0.5], radiusMM: 220), color: [UInt8($0 * 30), 200, 90]) }
        let contoured = try ContouredSeries(segments: segments, series: ResultFixture.series(geometry), source: ResultFixture.source(), context: ResultFixture.context)
        var made = 0
        for (name, make): (String, () throws -> Void) in [
            ("overlay", { try OverlayWriter.make(contoured, .init(slices: .all)) { _ in made += 1 } }), ("summary", { _ = try SummaryWriter.make(contoured) }),
            ("document", { _ = try DocumentWriter.make(contoured) }),
        ] {
            let seconds = try ContinuousClock().measure(make) / .seconds(1)
            print("\(name): \(decimal(seconds, 2)) s")
        }
        #expect(made == slices)
    }
}
