import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// The node's check of what it sends: sound objects of every kind and geometry pass, and each rule refuses what breaks it.
@Suite struct ObjectCheckTests {
    @Test(arguments: MeasurementTests.Stack.all, [SegmentationOptions(), .init(form: .labelmap), .init(form: .fractional)])
    func soundObjectsPassWhateverTheSlices(stack: MeasurementTests.Stack, segmentation: SegmentationOptions) throws {
        let made = try CheckedObjects(stack, segmentation: segmentation)
        try made.check.verify(made.objects)
        for object in made.objects where object.kind != .measurements { try made.check.verify([object]) }
        // The report refers to a SEG that is not of this job then.
        #expect(throws: ImagingError.self) { try made.check.verify(Array(made.objects[2...2])) }
    }

    @Test func soundObjectsPassInOtherForms() throws {
        var options = StructureSetOptions()
        options.implicitVR = true
        options.holes = .xor
        for form in SegmentationOptions.Form.allCases {
            let made = try CheckedObjects(MeasurementTests.Stack.all[1], options: options, segmentation: .init(form: form, emptyFrames: true))
            try made.check.verify(made.objects)
        }
        let wide = try CheckedObjects.wideLabelMap()
        try wide.check.verify(wide.objects)
    }

    @Test func everyBrokenRuleIsRefusedWithItsReason() throws {
        let made = try CheckedObjects(MeasurementTests.Stack.all[0])
        CheckedObjects.segSeries.withLock { $0 = try? DataSet(contentsOf: made.objects[0].path).string(.seriesInstanceUID) }
        refuses(Mutation.encoding + Mutation.common + Mutation.segmentation + Mutation.binary + Mutation.structureSet + Mutation.report + Mutation.captures, made)
    }

    @Test(arguments: [false, true])
    func everyBrokenRuleOfOtherSegmentationsIsRefusedWithItsReason(emptyFrames: Bool) throws {
        func made(_ form: SegmentationOptions.Form) throws -> CheckedObjects {
            try CheckedObjects(MeasurementTests.Stack.all[0], segmentation: .init(form: form, emptyFrames: emptyFrames))
        }
        refuses(Mutation.segmentation + Mutation.fractional, try made(.fractional))
        refuses(Mutation.labelMap + Mutation.narrowLabelMap, try made(.labelmap))
        if emptyFrames {
            refuses(Mutation.segmentation + Mutation.binary, try made(.binary))
        } else {
            refuses(Mutation.labelMap + Mutation.wideLabelMap, try CheckedObjects.wideLabelMap())
        }
    }

    private func refuses(_ mutations: [Mutation], _ made: CheckedObjects) {
        for mutation in mutations {
            do {
                try made.check.verify(made.spoilt(mutation))
                Issue.record("\(mutation.name): let through")
            } catch let error as ImagingError {
                #expect(error.code == .unsound)
                #expect(error.message.contains("\(mutation.rule)") && error.message.hasPrefix("\(mutation.kind.rawValue) "), "\(mutation.name): \(error)")
                for value in ["OTHER", "PHANTOM", "A-2"] where !mutation.rule.contains(value) { #expect(!error.message.contains(value), "\(error)") }
            } catch {
                Issue.record("\(mutation.name): not made: \(error)")
            }
        }
    }

    @Test func valuesThatTheirRepresentationDoesNotAllowAreFound() {
        func fault(_ vr: StaticString, _ text: String) -> String? { Array(text.utf8).withUnsafeBytes { VR.fault(VR.code(vr), $0) } }
        for (vr, good, bad) in [
            ("AE", "MEDLSAM ", String(repeating: "A", count: 18)), ("AS", "050Y", "050X"), ("CS", "A_B 1 ", "a "), ("DA", "20260102", "2026.102"),
            ("DS", "-1.5e-3\\2 ", "1,5 "), ("DT", "20260102", "x "), ("IS", "-12 ", "1.5 "), ("LO", "a\\b ", String(repeating: "a", count: 66)),
            ("LT", "a\nb ", "a\u{1} "), ("PN", "A^B ", String(repeating: "a", count: 196)), ("SH", "1234567890123456", "123456789012345678"),
            ("ST", String(repeating: "a", count: 1024), String(repeating: "a", count: 1026)), ("TM", "101500.5", "10:15:00"), ("UI", "1.2.3\0", "1..3"),
            ("UL", "1234", "12"), ("FD", "12345678", "1234"), ("US", "12", "1"),
        ] as [(StaticString, String, String)] {
            #expect(fault(vr, good) == nil && fault(vr, bad) != nil, "\(vr)")
        }
        #expect(fault("UI", "1.02") != nil && fault("UI", "1.0.2\0") == nil && fault("DS", "12345678901234567 ") != nil)
    }

    @Test func whatASourceHasWrongMayBeCopied() throws {
        let stack = MeasurementTests.Stack.all[0], folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        // A device that writes a station's name too long: 18 bytes in a SH.
        let ct = folder.appending(path: "ct")
        try stack.phantom.write(into: ct) { d, _ in try d.set(.stationName, "1234567890123456") }
        for file in try FileManager.default.contentsOfDirectory(atPath: ct.path) {
            var bytes = [UInt8](try Data(contentsOf: ct.appending(path: file)))
            let at = try place(.stationName, "SH", in: bytes)
            bytes[at + 6] = 18
            bytes.insert(contentsOf: "XX".utf8, at: at + 8)
            try Data(bytes).write(to: ct.appending(path: file))
        }
        let paths = try CTSeries.dicomFiles(in: ct.path)
        let seg = try SegmentationWriter.make(MeasurementTests.contoured(CTSeries.read(paths: paths))), path = folder.appending(path: "SEG.dcm").path
        try seg.write(to: path)
        #expect(try DataSet(contentsOf: path).items(.contributingEquipmentSequence)[0].string(.stationName) == "XX1234567890123456")
        try ObjectCheck(sourcePaths: paths).verify([.init(path: path, kind: .segmentation, sopClassUID: seg.sopClassUID.string, sopInstanceUID: seg.sopInstanceUID.string)])
    }

    /// 30 structures on 300 slices; how long it takes is printed, not judged.
    @Test func nineThousandFramesAreChecked() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let phantom = Phantom(name: "many", columns: 16, rows: 16, slices: 300, spacingMM: [12, 12, 1])
        let paths = try phantom.write(into: folder), series = try CTSeries.read(paths: paths), whole = Mask(geometry: series.grid.working, voxels: [UInt8](repeating: 1, count: series.grid.count))
        let source = try DataSet(contentsOf: paths[0], stoppingBefore: .pixelData)
        let segments = (1...30).map { ResultFixture.segment("Structure_\($0)", whole) }
        let contoured = try ContouredSeries(segments: segments, series: series, source: source, context: ResultFixture.context)
        let objects = try [(ResultKind.segmentation, SegmentationWriter.make(contoured)), (ResultKind.structureSet, StructureSetWriter.make(contoured))].map { kind, object in
            let path = folder.appending(path: "\(kind.rawValue).object").path
            try object.write(to: path)
            return ObjectCheck.Object(path: path, kind: kind, sopClassUID: object.sopClassUID.string, sopInstanceUID: object.sopInstanceUID.string)
        }
        let clock = ContinuousClock()
        let check = try ObjectCheck(sourcePaths: paths)
        for object in objects {
            let time = try clock.measure { try check.verify([object]) }
            print("\(object.kind.rawValue) of 30 structures on 300 slices checked in \(time)")
        }
    }
}
