import Foundation

/// The tensors of a PyTorch checkpoint (.pth), by name.
///
/// A state_dict, alone or as the `model` or `state_dict` of a training state; DataParallel's prefix `module.` is taken
/// off. Nothing in the file is executed; anything unexpected is refused.
struct Checkpoint {
    /// Where training programs keep the network inside their state, in the order looked for.
    private static let nests = ["model", "state_dict", "model_state_dict"]
    private static let parallelPrefix = "module."

    private let archive: StoredZip
    private let folder: String
    private(set) var tensors: [String: StoredTensor] = [:]

    init(_ bytes: [UInt8]) throws(CheckpointFault) {
        archive = try StoredZip(bytes)
        let suffix = "/data.pkl"
        let pickles = archive.names.filter { $0.hasSuffix(suffix) }
        guard pickles.count == 1 else { throw "it is not a checkpoint as torch.save writes it: it holds \(pickles.count) data.pkl" }
        folder = String(pickles[0].dropLast(suffix.count))
        if archive.names.contains("\(folder)/byteorder") {
            guard try archive.read("\(folder)/byteorder").elementsEqual("little".utf8) else { throw "its byte order is not little-endian" }
        }
        for (key, value) in try Self.state(in: try PickleReader.read(try archive.read(pickles[0]))) {
            guard case .string(let name) = key, case .tensor(let tensor) = value else { throw "its state holds more than named tensors" }
            let plain = name.hasPrefix(Self.parallelPrefix) ? String(name.dropFirst(Self.parallelPrefix.count)) : name
            guard tensors.updateValue(tensor, forKey: plain) == nil else { throw "it holds \(plain) twice" }
        }
    }

    /// The network's part of what was saved.
    private static func state(in value: PickleValue) throws(CheckpointFault) -> Zip2Sequence<[PickleValue], [PickleValue]> {
        guard case .container(let outer) = value, outer.kind == .dictionary else { throw "it does not hold a dictionary of tensors" }
        for nest in nests {
            for (key, value) in zip(outer.keys, outer.values) {
                guard case .string(nest) = key, case .container(let inner) = value, inner.kind == .dictionary else { continue }
                return zip(inner.keys, inner.values)
            }
        }
        return zip(outer.keys, outer.values)
    }

    /// A tensor's elements as 32-bit floats, in order; half, bfloat16 and double are converted.
    func floats(_ tensor: StoredTensor) throws(CheckpointFault) -> [Float] {
        let member = "\(folder)/data/\(tensor.storage.key)"
        let bytes = try archive.read(member)
        guard let size = tensor.storage.type.elementSize, bytes.count / size == tensor.storage.count else {
            throw "\(member) does not hold \(tensor.storage.count) elements"
        }
        switch tensor.storage.type {
        case .float: return gather(tensor, bytes, as: Float.self) { $0 }
        case .half: return gather(tensor, bytes, as: Float16.self) { Float($0) }
        case .bfloat16: return gather(tensor, bytes, as: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .double: return gather(tensor, bytes, as: Double.self) { Float($0) }
        default: throw "\(member) holds \(tensor.storage.type.rawValue), not floating-point numbers"
        }
    }

    private func gather<Element: BitwiseCopyable>(
        _ tensor: StoredTensor, _ bytes: ArraySlice<UInt8>, as: Element.Type, _ convert: (Element) -> Float
    ) -> [Float] {
        let count = tensor.shape.reduce(1, *)
        guard count > 0 else { return [] }
        let isContiguous = tensor.isContiguous
        var index = [Int](repeating: 0, count: tensor.shape.count)
        var place = tensor.offset
        return bytes.withUnsafeBytes { bytes in
            [Float](unsafeUninitializedCapacity: count) { result, initialized in
                for element in 0..<count {
                    result[element] = convert(bytes.loadUnaligned(fromByteOffset: place * MemoryLayout<Element>.size, as: Element.self))
                    place += 1
                    if !isContiguous { place = advance(&index, tensor) }
                }
                initialized = count
            }
        }
    }

    /// Steps to the next element in the tensor's order; returns its place in the storage.
    private func advance(_ index: inout [Int], _ tensor: StoredTensor) -> Int {
        for axis in index.indices.reversed() {
            index[axis] += 1
            if index[axis] < tensor.shape[axis] { break }
            index[axis] = 0
        }
        return zip(index, tensor.strides).reduce(tensor.offset) { $0 + $1.0 * $1.1 }
    }
}
