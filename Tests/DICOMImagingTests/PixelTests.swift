import DICOMCore
@testable import DICOMImaging
import Foundation
import NodeTesting
import Testing

/// Pixels in every encoding that Tests/Judges/pixels.py writes with encoders that are not ours.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: Places.python), "needs .local/venv"))
struct PixelTests {
    @Test func everyEncodingGivesTheValuesThatWereEncodedOrTheReasonWhyNot() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/pixels.py").path, folder.path])
        try #require(made.status == 0, "\(made.output)")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).filter { $0.pathExtension == "dcm" }
        #expect(files.count > 200)
        for file in files {
            let name = file.deletingPathExtension().lastPathComponent
            let reason = try? String(contentsOf: folder.appending(path: "\(name).refused"), encoding: .utf8)
            do {
                let found = try Self.values(of: file.path)
                let expected = try #require(try? Data(contentsOf: folder.appending(path: "\(name).bin")), "\(name) is read and should be refused: \(reason ?? "")")
                let tolerance: UInt16 = FileManager.default.fileExists(atPath: folder.appending(path: "\(name).rounded").path) ? 1 : 0
                let isEqual = expected.withUnsafeBytes { raw in
                    let expected = raw.bindMemory(to: UInt16.self)
                    return found.count == expected.count && zip(found, expected).allSatisfy { max($0, $1) - min($0, $1) <= tolerance }
                }
                #expect(isEqual, "\(name)")
            } catch let refusal as Refusal {
                #expect(reason.map(refusal.reason.contains) == true, "\(name) is refused: \(refusal.reason)")
            }
        }
    }

    /// The values of all frames, modulo 2^16: read by the toolkit, and again from their place in the file where that is known.
    private static func values(of path: String) throws -> [UInt16] {
        let dataSet: DataSet
        do { dataSet = try DataSet(contentsOf: path) } catch { throw Refusal(.unreadable, "its file: \(error)") }
        let stored = try PixelFormat(dataSet), frames = dataSet.integer(.numberOfFrames) ?? 1
        let found = Result { try values(of: FramePixels(dataSet, format: stored, frames: frames), frames) }
        if let place = try DataSet.header(of: path).pixels {
            let placed = Result { try FramePixels(place, format: stored, frames: frames).map { try values(of: $0, frames) } }
            switch (found, placed) {
            case (.success(let values), .success(let same?)): #expect(values == same, "\(path)")
            case (.failure(let refusal as Refusal), .failure(let same as Refusal)): #expect(refusal.reason == same.reason)
            case (_, .success(nil)): break
            default: Issue.record("\(path): \(found) by the toolkit, \(placed) from its place")
            }
        }
        return try found.get()
    }

    private static func values(of pixels: FramePixels, _ frames: Int) throws -> [UInt16] {
        try (0..<frames).flatMap { n in
            let (words, format) = try pixels.words(ofFrame: n)
            return words.map { UInt16(truncatingIfNeeded: format.value($0)) }
        }
    }
}

extension FramePixels {
    /// A frame's stored words, and where in them the samples lie.
    func words(ofFrame n: Int = 0) throws -> (words: [UInt16], format: PixelFormat) {
        var words = [UInt16](repeating: 0xAAAA, count: format.count), found = format, refusal: Refusal?
        words.withUnsafeMutableBufferPointer { words in
            do throws(Refusal) { found = try decode(n, into: words) } catch { refusal = error }
        }
        if let refusal { throw refusal }
        return (words, found)
    }
}

/// Stored values to Hounsfield units.
@Suite struct HounsfieldTests {
    /// The units of a slice's stored values.
    private func units(of values: [Int], change: (DataSet) throws -> Void = { _ in }) throws -> [Int16] {
        var phantom = Phantom(columns: 2, rows: 2, slices: 6)
        phantom.isSigned = true
        let slice = try phantom.slice(0)
        try change(slice)
        let table = try HounsfieldScale(slice).table(try PixelFormat(slice))
        return values.map { table[Int(UInt16(truncatingIfNeeded: $0))] }
    }

    /// Every word of every kind of sample, with scales and padding of all sorts.
    @Test func movingWordsGivesWhatTheTableSays() throws {
        var random = Seeded(5), moved = 0
        for run in 0..<400 {
            let allocated = run % 4 == 0 ? 8 : 16, stored = Int.random(in: 1...allocated, using: &random)
            let high = run % 3 == 0 ? Int.random(in: stored - 1..<allocated, using: &random) : stored - 1
            let dataSet = try Phantom(columns: 2, rows: 2, slices: 6).slice(0)
            for (tag, value) in [(Tag.bitsAllocated, allocated), (.bitsStored, stored), (.highBit, high), (.pixelRepresentation, Int.random(in: 0...1, using: &random))] {
                try dataSet.set(tag, value)
            }
            try dataSet.set(.rescaleSlope, run % 10 == 0 ? 0.5 : 1)
            try dataSet.set(.rescaleIntercept, [-1024, -8192, 0, 1000, -32768, 32767, -1024.5, -70000, Double(Int.random(in: -40000...40000, using: &random))].randomElement(using: &random)!)
            dataSet.remove(.pixelPaddingValue)
            if run % 2 == 0 { try dataSet.set(.pixelPaddingValue, Int.random(in: 0...65535, using: &random)) }
            if run % 6 == 0 { try dataSet.set(.pixelPaddingRangeLimit, Int.random(in: 0...65535, using: &random)) }
            let format = try PixelFormat(dataSet), scale = try HounsfieldScale(dataSet), table = scale.table(format)
            var words = Array(UInt16.min...UInt16.max)
            guard words.withUnsafeMutableBufferPointer({ scale.move($0, format) }) else { continue }
            moved += 1
            #expect(words.map(Int16.init(bitPattern:)) == table, "\(format), \(scale)")
        }
        #expect(moved > 100)
    }

    @Test func whatLiesOutsideTheReconstructionCircleIsAirWithOrWithoutAPaddingValue() throws {
        // GE stores -2000 (-3024 HU by an intercept of -1024), others -3024 or Siemens' -8192.
        for outside in [-2000, -3024, -8192, -32768] {
            #expect(try units(of: [outside, 0, 1024]) == [-1024, -1024, 0])
            #expect(try units(of: [outside, 0, 1024]) { try $0.set(.rescaleIntercept, [0.0]) } == [-1024, 0, 1024])
            #expect(try units(of: [outside, 1024]) { try $0.set(.pixelPaddingValue, outside) } == [-1024, 0])
        }
        // Padding may lie among the values of tissue, and be a range.
        #expect(try units(of: [3000, 3050, 3100, 2999]) {
            try $0.set(.pixelPaddingValue, 3000)
            try $0.set(.pixelPaddingRangeLimit, 3100)
        } == [-1024, -1024, -1024, 1975])
    }

    @Test func aRescaleTypeThatIsAbsentOrSaysHounsfieldUnitsIsTaken() throws {
        for type in ["HU", "hu", ""] {
            #expect(try units(of: [1024]) { try $0.set(.rescaleType, type) } == [0])
        }
    }

    @Test func whatIsShownInvertedMeansTheSame() throws {
        #expect(try units(of: [1024, 1064]) { try $0.set(.photometricInterpretation, "MONOCHROME1") } == [0, 40])
    }

    @Test func everySliceHasItsOwnScale() throws {
        let folder = try Places.temporaryFolder(), phantom = Phantom(slices: 20)
        defer { try? FileManager.default.removeItem(at: folder) }
        // The same stored values under an intercept that rises by ten a slice.
        let paths = try phantom.write(into: folder) { slice, k in try slice.set(.rescaleIntercept, [-1024.0 + Double(10 * k)]) }
        let found = try CTSeries.read(paths: paths).volume.voxels, plane = 64 * 64
        let expected = phantom.volume().voxels.enumerated().map { $0.element + Int16(10 * ($0.offset / plane)) }
        #expect(found == expected)
    }

    @Test func lossIsToldByTheObjectOrItsTransferSyntaxAndTravelsIntoResults() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let paths = try Phantom(slices: 8).write(into: folder)
        // Twelve bits by DCMTK; its encoder says so in every object.
        for path in paths { #expect(try runTool("dcmcjpeg", ["+ee", "+bt", path, path]).status == 0) }
        let told = try CTSeries.read(paths: paths)
        let lossy = try #require(told.lossyCompression)
        #expect(lossy.methods == ["ISO_10918_1"] && lossy.ratio > 2, "\(lossy)")
        let segments = ResultFixture.segments(told.volume.geometry), source = try DataSet(contentsOf: paths[0])
        let segmentation = try SegmentationWriter.make(ContouredSeries(segments: segments, series: told, source: source, context: ResultFixture.context)).dataSet
        #expect(segmentation.string(.lossyImageCompression) == "01" && segmentation.strings(.lossyImageCompressionMethod) == ["ISO_10918_1"])
        #expect(abs((segmentation.double(.lossyImageCompressionRatio) ?? 0) / lossy.ratio - 1) < 0.01)
        let structures = try StructureSetWriter.make(ContouredSeries(segments: segments, series: told, source: source, context: ResultFixture.context)).dataSet
        #expect(structures.string(.structureSetDescription)?.contains("compressed with loss") == true)
        // An object that forgot to say, or says the contrary.
        for flag in [nil, "00"] {
            let image = try DataSet(contentsOf: paths[0])
            [.lossyImageCompressionMethod, .lossyImageCompressionRatio].forEach(image.remove)
            if let flag { try image.set(.lossyImageCompression, flag) } else { image.remove(.lossyImageCompression) }
            let found = try #require(LossyCompression(image, format: PixelFormat(image), compressedLength: PixelData.compressedLength(of: image)))
            #expect(found.methods == ["ISO_10918_1"] && found.ratio > 2, "\(found)")
        }
    }
}
