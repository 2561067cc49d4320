import COpenVINO

/// A dense array of 32-bit floats, last axis fastest.
public struct Tensor: Sendable, Equatable {
    public let shape: [Int]
    public var values: [Float]

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
