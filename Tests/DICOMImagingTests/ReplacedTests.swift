import DICOMCore
@testable import DICOMImaging
import Foundation
import NodeTesting
import Testing

@Suite struct ReplacedTests {
    @Test func objectsNameThoseThatTheyReplaceAndGetUIDsOfTheirOwn() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(40, 30, 6), series = ResultFixture.series(geometry), segments = ResultFixture.segments(geometry)
        func write(_ name: String, _ context: ResultContext) throws -> [ResultObject] {
            let objects = try [
                SegmentationWriter.make(ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: context)),
                StructureSetWriter.make(ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: context)),
            ]
            for (kind, object) in zip(["SEG", "RT"], objects) { try object.write(to: folder.appending(path: "\(name) \(kind).dcm").path) }
            return objects
        }
        let old = try write("old", ResultFixture.context)
        var context = ResultFixture.context
        context.replaces = zip([.segmentation, .structureSet], old).map { ReplacedObject(kind: $0, sopClassUID: $1.sopClassUID, sopInstanceUID: $1.sopInstanceUID, seriesInstanceUID: $1.seriesInstanceUID) }
        _ = try write("new", context)
        let paths = ["old SEG", "old RT", "new SEG", "new RT"].map { folder.appending(path: "\($0).dcm").path }
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/replaced.py").path] + paths)
        #expect(verdict.status == 0, "\(verdict.output)")
        // dciodvfy knows no coding scheme but the standard's.
        let complaints = try paths[2...].flatMap { try ResultFixture.complaints(about: $0) }.filter { !$0.contains("<99MEDLSAM> for value 1 of attribute <Coding Scheme Designator>") }
        #expect(complaints == [])
    }
}
