import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// The measurement report, by readers that others wrote.
@Suite struct MeasurementTests {
    /// A stack of slices that a report is made of.
    struct Stack: Sendable, CustomTestStringConvertible {
        let name: String
        var phantom: Phantom
        var isMultiFrame = false
        var testDescription: String { name }

        static let all: [Stack] = {
            let even = Phantom(name: "even", columns: 40, rows: 44, slices: 14, spacingMM: [4, 4.5, 8])
            var tilted = Phantom(name: "tilted", columns: 40, rows: 44, slices: 14, spacingMM: [4, 4.5, 8])
            tilted.lean = [0, 0.3]
            var uneven = Phantom(name: "uneven", columns: 40, rows: 44, slices: 16, spacingMM: [4, 4.5, 8])
            uneven.heightsMM = (0..<8).map { Double($0) * 4 } + (1...8).map { 28 + Double($0) * 8 }
            return [Stack(name: "even", phantom: even), Stack(name: "tilted", phantom: tilted), Stack(name: "uneven", phantom: uneven),
                    Stack(name: "multi-frame", phantom: even, isMultiFrame: true)]
        }()

        /// Writes it into `ct` and reads it.
        func series(in folder: URL) throws -> CTSeries {
            let ct = folder.appending(path: "ct")
            guard isMultiFrame else { return try CTSeries.read(paths: phantom.write(into: ct)) }
            try FileManager.default.createDirectory(at: ct, withIntermediateDirectories: true)
            let single = folder.appending(path: "single")
            try phantom.write(into: single)
            let path = ct.appending(path: "frames.dcm").path
            let made = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/frames.py").path, "highdicom", single.path, path])
            #expect(made.status == 0, "\(made.output)")
            return try CTSeries.read(paths: [path])
        }
    }

    /// A head's structures on a series: two with masks across very different tissue, three without.
    static func contoured(_ series: CTSeries, context: ResultContext = ResultFixture.context) throws -> ContouredSeries {
        let source = try DataSet(contentsOf: series.instances[0].path, stoppingBefore: .pixelData)
        var segments = ResultFixture.segments(series.grid.working)
        // What lies on another tissue has its own mean.
        segments[2].mask = ResultFixture.ellipsoid(series.grid.working, center: [0.7, 0.5, 0.45], radiusMM: 30)
        segments[4].mask = ResultFixture.ellipsoid(series.grid.working, center: [0.5, 0.1, 0.7], radiusMM: 25)
        return try ContouredSeries(segments: segments, series: series, source: source, context: context)
    }

    private func write(_ contoured: ContouredSeries, _ options: MeasurementOptions, withSegmentation: Bool, to folder: URL) throws -> String {
        let seg = withSegmentation ? try SegmentationWriter.make(contoured) : nil
        try seg?.write(to: folder.appending(path: "SEG.dcm").path)
        let path = folder.appending(path: "SR.dcm").path
        try MeasurementWriter.make(contoured, options, segmentation: seg).write(to: path)
        try Data(contoured.drawings.compactMap(\.mask).flatMap(\.voxels)).write(to: folder.appending(path: "masks"))
        let codes = ["SEGMENTED", "NOT_IN_FIELD", "SEGMENTED", "WITHHELD", "SEGMENTED", "FAILED"]
        let structures = zip(contoured.segments, codes).map { segment, code -> [String: Any] in
            var said: [String: Any] = ["name": segment.name, "type": segment.type.value, "state": code]
            said["laterality"] = segment.laterality?.value
            said["confidence"] = segment.confidence.map { ($0 * 100).rounded() / 100 }
            said["comment"] = switch segment.state {
            case .segmented: "Automatic, not reviewed"
            case .notInFieldOfView: "not in the field of view"
            case .withheld(let reason), .failed(let reason): reason
            }
            return said
        }
        let statistics: [MeasurementOptions.Statistic: String] = [
            .mean: "Mean", .standardDeviation: "Standard Deviation", .minimum: "Minimum", .maximum: "Maximum",
        ]
        let expected: [String: Any] = ["structures": structures, "statistics": options.attenuation.map { statistics[$0]! }, "library": options.imageLibrary]
        try JSONSerialization.data(withJSONObject: expected).write(to: folder.appending(path: "expected.json"))
        return path
    }

    /// Without a SEG there is no region to refer to, whatever the slices.
    @Test(arguments: Stack.all.map { ($0, true) } + [(Stack.all[1], false)])
    func highdicomReadsWhatNumpyMeasuresOnTheSlices(stack: Stack, withSegmentation: Bool) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let contoured = try Self.contoured(stack.series(in: folder))
        let path = try write(contoured, .init(), withSegmentation: withSegmentation, to: folder)
        let judged = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/measures.py").path, folder.path])
        #expect(judged.status == 0 && judged.output.contains("agrees 3 measured of 6"), "\(judged.output)")
        #expect(judged.output.contains("spread 0.0") == (stack.name != "uneven"), "\(judged.output)")
        // A private coding scheme is none of those that the validator knows (PS3.16 8.2 allows it).
        let complaints = Set(try ResultFixture.complaints(about: path))
        #expect(complaints == ["Warning - Unrecognized defined term <99MEDLSAM> for value 1 of attribute <Coding Scheme Designator>"])
        let dumped = try runTool("dsrdump", ["+Pf", path])
        // DCMTK 3.6.7 checks no value in UTF-8, and says so.
        let said = dumped.output.split(separator: "\n").filter { $0.hasPrefix("E: ") || $0.hasPrefix("W: ") }
        #expect(dumped.status == 0 && said == ["W: The VR checker does not support this Specific Character Set: ISO_IR 192"], "\(said)")
        #expect(dumped.output.contains("Imaging Measurement Report"))
    }

    @Test func aReportSaysWhatItReplacesAndItsUIDsDependOnAllThatItsBytesDo() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let series = try Stack.all[0].series(in: folder), contoured = try Self.contoured(series)
        let seg = try SegmentationWriter.make(contoured)
        let make = { try MeasurementWriter.make(contoured, $0, segmentation: $1) }
        let first = try make(.init(), seg)
        #expect(try first.dataSet.encoded(as: .explicitVRLittleEndian) == make(.init(), seg).dataSet.encoded(as: .explicitVRLittleEndian))
        let others = try [make(.init(), nil), make(.init(attenuation: [.mean]), seg), make(.init(imageLibrary: false), seg)]
        #expect(Set(([first] + others).map(\.sopInstanceUID)).count == 4 && Set(([first] + others).map(\.seriesInstanceUID)).count == 4)
        var later = ResultFixture.context
        later.replaces = [.init(kind: .segmentation, sopClassUID: seg.sopClassUID, sopInstanceUID: seg.sopInstanceUID, seriesInstanceUID: seg.seriesInstanceUID),
                          .init(kind: .measurements, sopClassUID: first.sopClassUID, sopInstanceUID: first.sopInstanceUID, seriesInstanceUID: first.seriesInstanceUID)]
        let second = try MeasurementWriter.make(Self.contoured(series, context: later), segmentation: nil)
        let predecessor = second.dataSet.items(.predecessorDocumentsSequence).flatMap { $0.items(.referencedSeriesSequence) }
        #expect(predecessor.map { $0.uid(.seriesInstanceUID) } == [first.seriesInstanceUID])
        #expect(predecessor.flatMap { $0.items(.referencedSOPSequence) }.map { $0.uid(.referencedSOPInstanceUID) } == [first.sopInstanceUID])
        #expect(second.sopInstanceUID != first.sopInstanceUID && !first.dataSet.contains(.predecessorDocumentsSequence))
    }

    @Test func whereNothingIsSegmentedTheReportStillSaysWhy() throws {
        let series = ResultFixture.series(ResultFixture.geometry(20, 20, 5))
        let segments = ResultFixture.segments(series.grid.working).filter { $0.mask == nil }
        let make = { try MeasurementWriter.make(ContouredSeries(segments: $0, series: series, source: ResultFixture.source(), context: ResultFixture.context), segmentation: nil) }
        let root = try make(segments).dataSet
        let groups = root.items(.contentSequence).last!.items(.contentSequence)
        #expect(groups.map { $0.items(.contentTemplateSequence)[0].string(.templateIdentifier) } == ["1501", "1501", "1501"])
        #expect(throws: ImagingError.self) { try make([]) }
    }
}
