import Foundation
import NodeTesting
import Testing
@testable import ModelRuntime

/// A library with one small model whose weights are those of the fixtures, and nothing installed.
private struct SmallLibrary {
    let folder: URL
    var library: ModelLibrary {
        ModelLibrary(manifests: folder.appending(path: "Models"), installed: folder.appending(path: "installed"), runtime: folder)
    }

    init(key: String = "fc.bias", shape: String = "[5]", sha256: String = "null") throws {
        folder = try Places.temporaryFolder()
        try write("Models/small/manifest.json", """
            {"name": "small", "version": "1", "summary": "", "licence": "", "source": "",
             "checkpoint": {"file": "small.pth", "sha256": \(sha256)},
             "graphs": {"only": {"file": "only.onnx", "inputs": {"x": [null, 2]}, "outputs": {}}}}
            """)
        try write("Models/small/layout.json", """
            {"byteCount": 384, "unused": [], "tensors": [{"key": "conv.weight", "shape": [4, 2, 3, 3], "offset": 64},
             {"key": "\(key)", "shape": \(shape), "offset": 0}]}
            """)
        try write("Models/small/only.onnx", "a graph")
    }

    func write(_ path: String, _ text: String) throws {
        let file = folder.appending(path: path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    func add(_ fixture: String = "plain") throws {
        try library.importCheckpoint(at: Places.repository.appending(path: "Tests/Fixtures/checkpoints/\(fixture).pth"), as: "small")
    }

    func installed(_ name: String) -> URL { folder.appending(path: "installed/small/\(name)") }

    func remove() { try? FileManager.default.removeItem(at: folder) }
}

private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
}

@Suite struct ModelLibraryTests {
    @Test func anImportedModelIsInstalledWithItsWeightsInPlace() throws {
        let small = try SmallLibrary()
        defer { small.remove() }
        #expect(try small.library.list().map(\.state) == [.notInstalled])
        #expect(message { try small.library.verify("small") } == "Model small has no weights yet: import small.pth as small.")
        try small.add("half")
        try small.add("plain")
        let status = try #require(try small.library.list().first)
        #expect(status.state == .installed)
        #expect(try small.library.verify("small") == status.digest)
        let weights = try Data(contentsOf: small.installed("weights.bin")).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        #expect(Array(weights[..<5]) == (0..<5).map { -Float($0) / 4 })
        #expect(Array(weights[16..<88]) == (0..<72).map { Float($0) / 8 })
        #expect(try FileManager.default.contentsOfDirectory(atPath: small.folder.appending(path: "installed").path) == ["small"])
    }

    @Test func aCheckpointOfAnotherNetworkIsRefusedAndLeavesTheModelAsItWas() throws {
        for (small, expected) in [
            (try SmallLibrary(key: "fc.other"), "plain.pth refused: it holds fc.bias, which the network does not have."),
            (try SmallLibrary(shape: "[4]"), "plain.pth refused: fc.bias has shape [5], not [4]."),
            (try SmallLibrary(sha256: "\"00ff\""), ", small needs 00ff."),
        ] {
            defer { small.remove() }
            #expect(message { try small.add() }.hasSuffix(expected))
            #expect(try small.library.status(of: "small").state == .notInstalled)
        }
    }

    @Test func aChangedFileIsNoticed() throws {
        let small = try SmallLibrary()
        defer { small.remove() }
        try small.add()
        try small.write("installed/small/weights.bin", "other")
        #expect(try small.library.status(of: "small").state == .damaged(reason: "weights.bin is missing or changed"))
        #expect(throws: ModelError.self) { try small.library.load("small", graph: "only", threads: 1) }
        try small.add()
        try small.write("Models/small/only.onnx", "a newer graph")
        #expect(try small.library.status(of: "small").state == .outdated(reason: "only.onnx has changed since"))
    }

    @Test func aMissingLibraryIsAnErrorThatSaysWhere() throws {
        let small = try SmallLibrary()
        defer { small.remove() }
        try small.add()
        #expect(message { _ = try small.library.load("small", graph: "only", threads: 1) }
            == "OpenVINO was not found: \(small.folder.path) holds no libopenvino_c.so. Set-up brings it.")
        try small.write("libopenvino_c.so.1", "not a library")
        #expect(message { try small.library.verifyRuntime() }.hasPrefix("OpenVINO cannot be loaded from "))
        #expect(message { _ = try small.library.load("small", graph: "none", threads: 1) } == "Model small has no graph none.")
        #expect(message { try small.library.verify("../small") }.hasPrefix("There is no model ../small in "))
    }

    @Test func everyManifestOfTheRepositoryIsWhole() throws {
        let library = ModelLibrary(manifests: Places.repository.appending(path: "Models"), installed: URL(fileURLWithPath: "/nowhere"), runtime: nil)
        let models = try library.list().map(\.manifest)
        #expect(models.map(\.name) == ["lite-medsam", "medlam", "medlam-hn", "medsam-vit-b", "sam-vit-b", "segmenter-hn"])
        for model in models {
            let folder = Places.repository.appending(path: "Models/\(model.name)")
            #expect(try WeightLayout(in: folder).tensors.count > 40)
            for graph in model.graphs.values {
                let size = try FileManager.default.attributesOfItem(atPath: folder.appending(path: graph.file).path)[.size] as? Int
                #expect(try #require(size) < 1_000_000)
            }
        }
    }
}
