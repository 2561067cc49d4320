import Foundation

/// What a model is: its origin, its checkpoint and its graphs; `Models/<name>/manifest.json`.
public struct ModelManifest: Codable, Sendable, Equatable {
    /// One graph of a model, with the shapes of its tensors; an axis of any length is null.
    public struct Graph: Codable, Sendable, Equatable {
        /// The graph without weights, an ONNX file beside the manifest.
        public let file: String
        /// Shapes by name.
        public let inputs: [String: [Int?]]
        /// Shapes by name.
        public let outputs: [String: [Int?]]
    }

    /// The file of trained weights that an import expects.
    public struct Checkpoint: Codable, Sendable, Equatable {
        /// Its usual name.
        public let file: String
        /// Lower-case hexadecimal; nil where any checkpoint of the right tensors is accepted.
        public let sha256: String?
    }

    /// The name of the folder as well.
    public let name: String
    /// The weights' version.
    public let version: String
    /// What the model does, one sentence.
    public let summary: String
    /// SPDX identifier of the weights' licence.
    public let licence: String
    /// Where architecture and weights come from.
    public let source: String
    /// What an import reads.
    public let checkpoint: Checkpoint
    /// What its output's channels are, by TG-263 name; nil for a model that is not made for certain structures.
    public let structures: [String]?
    /// The graphs by name.
    public let graphs: [String: Graph]

    static let fileName = "manifest.json"

    /// Reads and checks the manifest in a model's folder.
    public init(in folder: URL) throws(ModelError) {
        let file = folder.appending(path: Self.fileName)
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
        } catch {
            throw ModelError(.invalidManifest, "\(file.path) cannot be read: \(error)")
        }
        guard name == folder.lastPathComponent else {
            throw ModelError(.invalidManifest, "\(file.path) is about \(name), not about \(folder.lastPathComponent).")
        }
        for file in graphs.values.map(\.file) + [checkpoint.file] where file.isEmpty || file.contains("/") {
            throw ModelError(.invalidManifest, "\(name): \"\(file)\" is not the name of a file beside the manifest.")
        }
    }
}

extension ModelManifest.Graph {
    /// Throws unless the inputs are the graph's, by name and shape.
    func check(_ tensors: [String: Tensor], of graph: String) throws(ModelError) {
        for name in tensors.keys where inputs[name] == nil {
            throw ModelError(.invalidInput, "\(graph) has no input \(name).")
        }
        for (name, axes) in inputs {
            guard let shape = tensors[name]?.shape else { throw ModelError(.invalidInput, "\(graph): input \(name) is missing.") }
            let fits = shape.count == axes.count && zip(shape, axes).allSatisfy { $0 > 0 && $0 == $1 ?? $0 }
            guard fits else {
                let expected = axes.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
                throw ModelError(.invalidInput, "\(graph): input \(name) has shape \(shape), not [\(expected)].")
            }
        }
    }
}

/// Where each tensor of a checkpoint lies in `weights.bin`; written by Training/export.
struct WeightLayout: Codable, Sendable {
    struct Entry: Codable, Sendable {
        let key: String
        let shape: [Int]
        /// Bytes from the start of `weights.bin`.
        let offset: Int
    }

    let byteCount: Int
    let tensors: [Entry]
    /// Keys of the checkpoint that inference does not need.
    let unused: [String]

    static let fileName = "layout.json"
    /// 32-bit floats, in the processor's (little-endian) order.
    static let bytesPerElement = 4

    init(in folder: URL) throws(ModelError) {
        let file = folder.appending(path: Self.fileName)
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
        } catch {
            throw ModelError(.invalidManifest, "\(file.path) cannot be read: \(error)")
        }
        for entry in tensors {
            guard entry.offset >= 0, let count = elementCount(entry.shape),
                  count <= (byteCount - entry.offset) / Self.bytesPerElement else {
                throw ModelError(.invalidManifest, "\(file.path): \(entry.key) lies outside of the weights.")
            }
        }
    }
}

/// The product of a shape's axes; nil when an axis is negative or the product does not fit.
func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for axis in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: axis)
        guard axis >= 0, !overflow else { return nil }
        count = product
    }
    return count
}
