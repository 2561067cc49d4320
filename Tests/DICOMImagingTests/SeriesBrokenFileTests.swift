import DICOMCore
@testable import DICOMImaging
import Foundation
import NodeTesting
import Testing

/// One file of a sound series is spoilt byte by byte: an error each time it matters, never a crash.
@Suite struct SeriesBrokenFileTests {
    /// Writes a small series and gives its files and the bytes of the fourth.
    private func withVictim(_ body: ([String], String, [UInt8]) throws -> Void) throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try Phantom(columns: 16, rows: 16, slices: 6, spacingMM: [12, 12, 40]).write(into: folder)
        try body(paths, paths[3], [UInt8](try Data(contentsOf: URL(filePath: paths[3]))))
    }

    @Test func aTruncatedFileIsRefusedWhereverItEnds() throws {
        try withVictim { paths, victim, bytes in
            for length in Swift.stride(from: 0, to: bytes.count, by: 11) {
                try Data(bytes[..<length]).write(to: URL(filePath: victim))
                #expect(throws: ImagingError.self, "\(length) of \(bytes.count) bytes") { try CTSeries.read(paths: paths) }
            }
        }
    }

    @Test func aLengthThatReachesBeyondTheFileIsRefused() throws {
        let tags: [DICOMCore.Tag] = [.sopInstanceUID, .patientName, .imagePositionPatient, .pixelSpacing, .rows, .rescaleSlope, .pixelData]
        try withVictim { paths, victim, bytes in
            for tag in tags {
                let mark = [UInt8(tag.group & 0xFF), UInt8(tag.group >> 8), UInt8(tag.element & 0xFF), UInt8(tag.element >> 8)]
                let at = try #require((132..<bytes.count - 4).first { Array(bytes[$0..<$0 + 4]) == mark })
                for length: [UInt8] in tag == .pixelData ? [[0xF0, 0xFF, 0xFF, 0xFF], [0xF0, 0xFF, 0xFF, 0x7F], [0x02, 0x02, 0, 0]] : [[0xF0, 0xFF], [0xF0, 0x7F]] {
                    var spoilt = bytes
                    spoilt.replaceSubrange((at + (tag == .pixelData ? 8 : 6))..., with: length + bytes[(at + (tag == .pixelData ? 12 : 8))...])
                    try Data(spoilt).write(to: URL(filePath: victim))
                    #expect(throws: ImagingError.self, "\(tag) of length \(length)") { try CTSeries.read(paths: paths) }
                }
            }
        }
    }

    @Test func aPositionThatIsNoNumberIsRefused() throws {
        try withVictim { paths, victim, bytes in
            let at = try #require((132..<bytes.count - 8).first { Array(bytes[$0..<$0 + 6]) == [0x20, 0, 0x32, 0, 0x44, 0x53] }), length = Int(bytes[at + 6])
            // As text, and as the binary numbers that it never is.
            let text = Array("NaN\\0\\0 ".utf8), number = withUnsafeBytes(of: Double.nan.bitPattern.littleEndian, Array.init)
            for value in [[0x44, 0x53, UInt8(text.count), 0] + text, [0x46, 0x44, 24, 0] + number + number + number] {
                var spoilt = bytes
                spoilt.replaceSubrange(at + 4..<at + 8 + length, with: value)
                try Data(spoilt).write(to: URL(filePath: victim))
                let error = try #require(throws: ImagingError.self) { try CTSeries.read(paths: paths) }
                #expect(error.message.contains("Image Position (Patient) is missing or no three numbers"))
            }
        }
    }

    @Test func randomBytesNeverCrashTheReader() throws {
        try withVictim { paths, victim, bytes in
            var random = Seeded(11), refused = 0
            for _ in 0..<200 {
                var spoilt = bytes
                for _ in 0..<Int.random(in: 1...12, using: &random) {
                    spoilt[Int.random(in: 132..<bytes.count - 512, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                try Data(spoilt).write(to: URL(filePath: victim))
                do { _ = try CTSeries.read(paths: paths) } catch { refused += 1 }
            }
            #expect(refused > 50)
        }
    }

    @Test(.enabled(if: Places.hasSharedData, "needs the shared data"), arguments: ["4.50", "4.70", "4.80", "4.90", "5"])
    func spoiltCodestreamsNeverCrashTheReader(syntax: String) throws {
        let folder = Places.shared.appending(path: "data/dicom/transfer-syntaxes")
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder.path).first { $0.hasSuffix("_1.2.840.10008.1.2.\(syntax).dcm") })
        let bytes = [UInt8](try Data(contentsOf: folder.appending(path: name)))
        let mark: [UInt8] = [0xE0, 0x7F, 0x10, 0, UInt8(ascii: "O")]
        let start = try #require((132..<bytes.count - 5).first { Array(bytes[$0..<$0 + 5]) == mark })
        let scratch = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: scratch) }
        let path = scratch.appending(path: "spoilt.dcm").path
        var random = Seeded(12), refused = 0
        for _ in 0..<20 {
            var spoilt = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                spoilt[start + Int.random(in: 0..<400, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            try Data(spoilt).write(to: URL(filePath: path))
            do {
                let dataSet = try DataSet(contentsOf: path)
                _ = try FramePixels(dataSet, format: PixelFormat(dataSet)).words()
            } catch { refused += 1 }
        }
        #expect(refused > 5)
    }
}
