import DICOMCore
import Foundation
import NodeTesting
import Testing

/// Pixel data that are read from their place in the file.
@Suite struct PixelDataPlaceTests {
    private func withFile(_ transcode: [String], _ body: (String, [UInt8]) throws -> Void) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        var path = try Phantom(columns: 16, rows: 16, slices: 3).write(into: folder)[0]
        if let tool = transcode.first {
            let made = try runTool(tool, transcode.dropFirst() + [path, path + ".new"])
            try #require(made.status == 0, "\(made.output)")
            path += ".new"
        }
        try body(path, [UInt8](try Data(contentsOf: URL(filePath: path))))
    }

    @Test func aPlaceIsKnownWhereNothingIsOdd() throws {
        for (transcode, isKnown) in [([], true), (["dcmconv", "+ti"], true), (["dcmcrle"], true), (["dcmcjpeg"], true), (["dcmconv", "+tb"], false), (["dcmconv", "+td"], false)] {
            try withFile(transcode) { path, _ in
                let place = try DataSet.header(of: path).pixels
                #expect((place != nil) == isKnown, "\(transcode)")
                guard let place else { return }
                #expect(place.compressedLength == PixelData.compressedLength(of: try DataSet(contentsOf: path)))
                let pixels = try #require(try PixelData(place, frames: 1, frameLength: 512)), same = try PixelData(DataSet(contentsOf: path), frames: 1, frameLength: 512)
                #expect(try pixels.bytes(ofFrame: 0) == same.bytes(ofFrame: 0), "\(transcode)")
            }
        }
    }

    @Test func aLengthThatLiesOrMoreBehindThePixelsLeavesTheFileToTheToolkit() throws {
        for transcode in [[], ["dcmcrle"]] {
            try withFile(transcode) { path, bytes in
                let trailing: [UInt8] = [0xFC, 0xFF, 0xFC, 0xFF, 0x4F, 0x42, 0, 0, 0, 0, 0, 0]
                for spoilt in [Array(bytes.dropLast(1)), Array(bytes.dropLast(8)), bytes + trailing, bytes + [0]] {
                    try Data(spoilt).write(to: URL(filePath: path))
                    #expect(try DataSet.header(of: path).pixels == nil)
                }
            }
        }
    }

    @Test func aHeaderLongerThanUsualIsReadToo() throws {
        try withFile([]) { path, bytes in
            let dataSet = try DataSet(contentsOf: path)
            try dataSet.set(Tag(0x0029, 0x0010), "MEDLSAM TEST")
            try dataSet.set(Tag(0x0029, 0x1010), bytes: [UInt8](repeating: 1, count: 1 << 18))
            try dataSet.write(to: path)
            let place = try #require(try DataSet.header(of: path).pixels)
            let pixels = try #require(try PixelData(place, frames: 1, frameLength: 512))
            #expect(try pixels.bytes(ofFrame: 0) == bytes.suffix(512))
        }
    }

    @Test func aFileThatWasReplacedSinceIsRefused() throws {
        try withFile([]) { path, bytes in
            let place = try #require(try DataSet.header(of: path).pixels)
            try Data(bytes).write(to: URL(filePath: path), options: .atomic)
            let error = try #require(throws: DICOMError.self) { try PixelData(place, frames: 1, frameLength: 512) }
            #expect(error.message.contains("can no longer be read"))
            try FileManager.default.removeItem(atPath: path)
            #expect(throws: DICOMError.self) { try PixelData(place, frames: 1, frameLength: 512) }
        }
    }
}
