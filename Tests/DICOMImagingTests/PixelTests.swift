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

    /// The values of all frames, modulo 2^16.
    private static func values(of path: String) throws -> [UInt16] {
        let dataSet: DataSet
        do { dataSet = try DataSet(contentsOf: path) } catch { throw Refusal(.unreadable, "its file: \(error)") }
        let stored = try PixelFormat(dataSet), frames = dataSet.integer(.numberOfFrames) ?? 1
        let pixels = try FramePixels(dataSet, format: stored, frames: frames)
        return try (0..<frames).flatMap { n in
            let (words, format) = try pixels.words(ofFrame: n)
            return words.map { UInt16(truncatingIfNeeded: format.value($0)) }
        }
    }
}
