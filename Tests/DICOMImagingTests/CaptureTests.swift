@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

@Suite struct CaptureTests {
    @Test func pillowOpensTheMontageAndFindsTheOutlines() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let geometry = ResultFixture.geometry(120, 100, 40, spacing: [0.8, 1.0, 2.5])
        let png = OverlayMontage.png(volume: ResultFixture.series(geometry).volume, segments: ResultFixture.segments(geometry))
        let path = folder.appending(path: "montage.png").path
        try Data(png).write(to: URL(fileURLWithPath: path))
        let script = """
            import sys, numpy as np
            from PIL import Image
            image = Image.open(sys.argv[1]); image.verify()
            image = Image.open(sys.argv[1])
            pixels = np.asarray(image.convert("RGB"))
            print(image.size, *((pixels == c).all(-1).sum() > 100 for c in ([255, 138, 128], [41, 121, 255], [0, 200, 83])))
            """
        let result = try ResultFixture.judge(script, [path])
        #expect(result.output == "(1280, 1280) True True True\n", "\(result.output)")
    }

    @Test func aBallStaysRoundInEveryPlane() throws {
        // Slices are four times as thick as pixels are wide: without the spacings the ball would be flat.
        let geometry = ResultFixture.geometry(100, 100, 25, spacing: [1, 1, 4])
        let ball = ResultFixture.segment("Ball", ResultFixture.ellipsoid(geometry, center: [0.5, 0.5, 0.5], radiusMM: 30), color: [255, 0, 0])
        let size = 128
        let picture = OverlayMontage.png(volume: ResultFixture.series(geometry).volume, segments: [ball], tileSize: size)
        // Stored, so the picture can be read without inflating: the fixture's rows are 512 pixels and a filter byte.
        let data = picture.suffix(from: picture.firstRange(of: Array("IDAT".utf8))!.upperBound).dropFirst(2)
        var pixels: [UInt8] = [], at = data.startIndex
        while pixels.count < 512 * 513 {
            let length = Int(data[at + 1]) | Int(data[at + 2]) << 8
            pixels += data[at + 5..<at + 5 + length]
            at += 5 + length
        }
        for tile in [5, 6, 12, 13, 14, 15] {
            let outline = (0..<size * size).filter { pixels[(tile / 4 * size + $0 / size) * 513 + 1 + tile % 4 * size + $0 % size] == UInt8(OverlayMontage.greys) }
            let width = outline.map { $0 % size }.max()! - outline.map { $0 % size }.min()!, height = outline.last! / size - outline.first! / size
            #expect(abs(width - height) <= size / 16, "tile \(tile): \(width) x \(height)")
        }
    }

    @Test func withoutStructuresTheVolumeIsShown() throws {
        let png = OverlayMontage.png(volume: ResultFixture.series(ResultFixture.geometry(10, 12, 3)).volume, segments: [], tileSize: 16)
        #expect(png.starts(with: [0x89] + Array("PNG".utf8)))
    }
}
