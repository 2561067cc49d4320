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

    /// A perfusion scan of 20 times 320 slices, as Enhanced CT.
    @Test func anImageOfThousandsOfFramesKeepsThemAll() throws {
        let phantom = Phantom(columns: 4, rows: 4, slices: 320), times = 20
        let image = try phantom.slice(0), pixels = try Phantom(slices: 1).slice(0)
        try image.set(.sopClassUID, SOPClass.enhancedCTImageStorage)
        try image.set(.numberOfFrames, 320 * times)
        for tag in [DICOMCore.Tag.imagePositionPatient, .imageOrientationPatient, .pixelSpacing, .sliceThickness] { image.remove(tag) }
        let shared = try image.addItem(.sharedFunctionalGroupsSequence)
        try shared.addItem(.planeOrientationSequence).copy(.imageOrientationPatient, from: pixels)
        try shared.addItem(.pixelMeasuresSequence).copy(.pixelSpacing, from: pixels)
        for time in 1...times {
            for k in 0..<320 {
                let group = try image.addItem(.perFrameFunctionalGroupsSequence), p = phantom.positionLPS(0, 0, slice: k)
                try group.addItem(.planePositionSequence).set(.imagePositionPatient, [p.x, p.y, p.z])
                try group.addItem(.frameContentSequence).set(.temporalPositionIndex, time)
            }
        }
        let header = try SliceHeader(image), json = try header.json()
        #expect(json.count < 4 << 20)
        let read = try JSONDecoder().decode(SliceHeader.self, from: json)
        #expect(read == header && read.slices.count == 320 * times)
        #expect(HeaderStack.stacks(of: [read]).map(\.slices.count) == [Int](repeating: 320, count: times))
        // As they were recorded before: each frame a whole header.
        let older = String(decoding: json, as: UTF8.self).replacing("\"frames\":[{", with: "\"frames\":[{\"sopInstanceUID\":\"1.2\",\"rows\":4,")
        #expect(try JSONDecoder().decode(SliceHeader.self, from: Data(older.utf8)) == header)
    }
}
