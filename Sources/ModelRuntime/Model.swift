/// A dense array of 32-bit floats, last axis fastest.
public struct Tensor: Sendable, Equatable {
    /// The length of each axis.
    public let shape: [Int]
    /// The elements, as many as the product of `shape`.
    public var values: [Float]

    /// Makes a tensor; the number of values must be the product of `shape`.
    public init(shape: [Int], values: [Float]) {
        precondition(values.count == shape.reduce(1, *))
        self.shape = shape
        self.values = values
    }
}

/// A network that maps named tensors to named tensors. Calls block, and may come from several threads at once.
public protocol Model: Sendable {
    /// Runs the network once; throws when an input's name or shape is not the network's.
    func callAsFunction(_ inputs: [String: Tensor]) throws -> [String: Tensor]
}

/// Why a model could not be read, imported, loaded or run.
public struct ModelError: Error, Equatable, CustomStringConvertible {
    /// What kind of thing went wrong.
    public enum Code: String, Sendable {
        /// The inference library is missing or does not load.
        case runtimeUnavailable
        /// There is no such model or graph, or its weights were not imported.
        case modelUnavailable
        /// A manifest, graph or layout in the models' folder cannot be used.
        case invalidManifest
        /// A checkpoint is not what it should be: broken, unexpected content, or another network's.
        case invalidCheckpoint
        /// An installed file is not the one that was imported.
        case damaged
        /// An input is not the network's.
        case invalidInput
        /// The inference library failed.
        case inferenceFailed
    }

    /// What kind of failure it is.
    public let code: Code
    /// What failed, on which file or model, why.
    public let message: String

    /// The message.
    public var description: String { message }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
