import DICOMCore
import Foundation
import NodeTesting
import Testing

@testable import DICOMImaging

@Suite struct SliceHeaderJSONTests {
    /// All an image can say, with what is awkward to write.
    private func full() throws -> DataSet {
        let d = try Phantom(slices: 1).slice(0)
        try d.set(.specificCharacterSet, "ISO_IR 192")
        try d.set(.frameOfReferenceUID, "1.2.3")
        try d.set(.imagePositionPatient, [-0.0000001, 123456.789, -250])
        try d.set(.sliceThickness, [0.625])
        try d.set(.seriesDescription, "Schädel \"weich\" \u{9}/ 日本")
        try d.set(.studyDescription, "{}[],:")
        try d.set(.protocolName, "ein \u{1B} Zeichen")
        try d.set(.bodyPartExamined, "HEAD")
        try d.set(.convolutionKernel, ["B30f", "3"])
        try d.set(.acquisitionNumber, 4)
        try d.set(.kvp, [120])
        return d
    }

    @Test func whatIsWrittenReadsBackEqual() throws {
        let header = try SliceHeader(full())
        let nothing = Mirror(reflecting: header).children.filter { "\($0.value)" == "nil" }.compactMap(\.label)
        #expect(Set(nothing) == ["frameNumber", "frames"], "this test should give every property a value")
        #expect(try JSONDecoder().decode(SliceHeader.self, from: header.json()) == header)
    }

    @Test func aHeaderThatSaysLittleReadsBackEqual() throws {
        let d = DataSet()
        for (tag, uid) in [(Tag.sopInstanceUID, "1.1"), (.sopClassUID, "1.2"), (.seriesInstanceUID, "1.3"), (.studyInstanceUID, "1.4")] { try d.set(tag, uid) }
        let header = try SliceHeader(d)
        #expect(try JSONDecoder().decode(SliceHeader.self, from: header.json()) == header)
    }
}
