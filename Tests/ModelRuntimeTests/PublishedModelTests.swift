import Foundation
import ModelRuntime
import NodeTesting
import Testing

/// What PyTorch computed with a checkpoint, for inputs that `Noise` makes again; written by Training/export/reference.py.
private struct Reference: Decodable {
    struct Output: Decodable {
        let shape: [Int]
        let step: Int
        let meanMagnitude: Double
        let samples: Data

        /// The largest difference to the tensor's elements at the sampled places.
        func difference(to tensor: Tensor) -> Float {
            let expected = samples.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
            return zip(expected, stride(from: 0, to: tensor.values.count, by: step)).map { abs($0 - tensor.values[$1]) }.max()!
        }
    }

    let checkpoint: String
    let boxes: [[Float]]
    let graphs: [String: [String: Output]]

    init(of model: String) throws {
        let file = Places.repository.appending(path: "Models/\(model)/reference.json")
        self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
    }

    /// Compares one graph's outputs, and prints how far they are off.
    func compare(_ graph: String, _ outputs: [String: Tensor], tolerance: Float) throws {
        let expected = try #require(graphs[graph])
        #expect(outputs.keys.sorted() == expected.keys.sorted())
        for (name, output) in expected.sorted(by: { $0.key < $1.key }) {
            let tensor = try #require(outputs[name])
            #expect(tensor.shape == output.shape)
            let difference = output.difference(to: tensor)
            let mean = tensor.values.reduce(into: 0) { $0 += Double(abs($1)) } / Double(tensor.values.count)
            #expect(difference <= tolerance, "\(graph).\(name)")
            #expect(abs(mean - output.meanMagnitude) <= Double(tolerance), "\(graph).\(name)")
            print("\(graph).\(name): max abs difference to PyTorch \(difference), mean magnitude \(mean)")
        }
    }
}

/// Numbers in 0..1: the upper 24 bits of a linear congruential generator, from 1.
private func noise(_ shape: [Int]) -> Tensor {
    var state: UInt32 = 1
    return Tensor(shape: shape, values: (0..<shape.reduce(1, *)).map { _ in
        state = state &* 1664525 &+ 1013904223
        return Float(state >> 8) / 16777216
    })
}

private let weights = Places.local.appending(path: "weights/lite_medsam.pth")
private let runtime = Places.local.appending(path: "openvino")
private let isSetUp = [weights, runtime].allSatisfy { FileManager.default.fileExists(atPath: $0.path) }

private func library(in folder: URL) -> ModelLibrary {
    ModelLibrary(manifests: Places.repository.appending(path: "Models"), installed: folder, runtime: runtime)
}

@Suite(.enabled(if: isSetUp, "set-up brings OpenVINO and the weights")) struct PublishedModelTests {
    @Test func liteMedSAMGivesWhatPyTorchGives() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let library = library(in: folder)
        try library.importCheckpoint(at: weights, as: "lite-medsam")
        let reference = try Reference(of: "lite-medsam")
        #expect(try library.verify("lite-medsam") == reference.checkpoint)

        let encoder = try library.load("lite-medsam", graph: "encoder", threads: 2)
        let embedding = try encoder(["image": noise([1, 3, 256, 256])])
        try reference.compare("encoder", embedding, tolerance: 1e-5)

        let decoder = try library.load("lite-medsam", graph: "decoder", threads: 2)
        let boxes = Tensor(shape: [reference.boxes.count, 4], values: reference.boxes.flatMap { $0 })
        let masks = try decoder(["embedding": embedding["embedding"]!, "boxes": boxes])
        // Logits reach 40 and more; the rewritten decoder alone differs by 2e-5 in PyTorch.
        try reference.compare("decoder", masks, tolerance: 2e-4)
        #expect(throws: ModelError.self) { try decoder(["boxes": boxes]) }
        #expect(throws: ModelError.self) { try encoder(["image": noise([1, 3, 256, 255])]) }
    }

    @Test func oneBoxAloneGivesTheSameAsAmongOthersAndFromSeveralThreads() async throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let library = library(in: folder)
        try library.importCheckpoint(at: weights, as: "lite-medsam")
        let decoder = try library.load("lite-medsam", graph: "decoder", threads: 2, streams: 2)
        let embedding = noise([1, 256, 64, 64])
        let boxes = try Reference(of: "lite-medsam").boxes
        let together = try decoder(["embedding": embedding, "boxes": Tensor(shape: [boxes.count, 4], values: boxes.flatMap { $0 })])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, box) in boxes.enumerated() {
                group.addTask {
                    let alone = try decoder(["embedding": embedding, "boxes": Tensor(shape: [1, 4], values: box)])["logits"]!
                    let among = together["logits"]!.values[(index * 65536)..<((index + 1) * 65536)]
                    let difference = zip(alone.values, among).map { abs($0 - $1) }.max()!
                    #expect(difference < 1e-3)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func theShippedNetworksGiveWhatPyTorchGives() throws {
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, graphs) in Self.shipped {
            let library = library(in: folder)
            try library.importCheckpoint(at: try #require(try library.shippedCheckpoint(of: name)), as: name)
            let reference = try Reference(of: name)
            #expect(try library.verify(name) == reference.checkpoint)
            for (graph, input, shape, tolerance) in graphs {
                let model = try library.load(name, graph: graph, threads: 2)
                try reference.compare(graph, model([input: noise(shape)]), tolerance: tolerance)
            }
        }
    }

    /// Logits of the segmenter reach 20, and its 23 layers add up what the instance norms' order of summing differs by.
    private static let shipped: [(String, [(graph: String, input: String, shape: [Int], tolerance: Float)])] = [
        ("medlam-hn", [("position", "patch", [1, 1, 64, 64, 64], 1e-4), ("features", "patch", [1, 1, 64, 64, 64], 1e-3)]),
        ("segmenter-hn", [("segment", "scan", [1, 1, 48, 64, 64], 1e-3)]),
    ]
}
