/// Why a checkpoint is refused, as the end of a sentence; `Checkpoint` adds which file.
struct CheckpointFault: Error, ExpressibleByStringInterpolation {
    let reason: String
    init(stringLiteral reason: String) { self.reason = reason }
}

/// What a checkpoint's pickle may hold.
enum PickleValue {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case container(PickleContainer)
    case global(PickleGlobal)
    case storage(TensorStorage)
    case tensor(StoredTensor)
}

/// A tuple, list or dictionary while it is put together.
///
/// Once inside another container it may not change any more: that keeps `depth` true and rules out cycles, so that
/// neither reading nor freeing a hostile file can run out of stack. What pickles a checkpoint never does otherwise.
final class PickleContainer {
    enum Kind { case tuple, list, dictionary }

    /// Far more than a state_dict inside a training state needs.
    private static let greatestDepth = 32

    let kind: Kind
    /// A dictionary's keys, one a value; else empty.
    private(set) var keys: [PickleValue] = []
    private(set) var values: [PickleValue] = []
    private var depth = 1
    private var isNested = false

    init(_ kind: Kind) { self.kind = kind }

    /// A tuple of the values.
    convenience init(tuple values: some Sequence<PickleValue>) throws(CheckpointFault) {
        self.init(.tuple)
        for value in values { try append(value) }
    }

    func append(_ value: PickleValue) throws(CheckpointFault) {
        if case .container(let inner) = value {
            inner.isNested = true
            depth = max(depth, inner.depth + 1)
        }
        guard !isNested, depth <= Self.greatestDepth else { throw "its containers are nested in a way that no checkpoint is" }
        values.append(value)
    }

    func set(_ key: PickleValue, _ value: PickleValue) throws(CheckpointFault) {
        if case .container = key { throw "a dictionary's key is neither a name nor a number" }
        try append(value)
        keys.append(key)
    }
}

/// The few names that torch.save writes into a pickle; they stand for themselves, nothing is ever called.
enum PickleGlobal: String {
    case orderedDictionary = "collections.OrderedDict"
    case rebuildTensor = "torch._utils._rebuild_tensor_v2"
    case rebuildParameter = "torch._utils._rebuild_parameter"
    case float = "torch.FloatStorage"
    case half = "torch.HalfStorage"
    case bfloat16 = "torch.BFloat16Storage"
    case double = "torch.DoubleStorage"
    case long = "torch.LongStorage"
    case int = "torch.IntStorage"
    case short = "torch.ShortStorage"
    case char = "torch.CharStorage"
    case byte = "torch.ByteStorage"
    case bool = "torch.BoolStorage"

    /// Bytes an element, for the names of storages.
    var elementSize: Int? {
        switch self {
        case .orderedDictionary, .rebuildTensor, .rebuildParameter: nil
        case .double, .long: 8
        case .float, .int: 4
        case .half, .bfloat16, .short: 2
        case .char, .byte, .bool: 1
        }
    }
}

/// A run of elements of one type: the archive's member `data/<key>`.
struct TensorStorage {
    let type: PickleGlobal
    let key: String
    let count: Int
}

/// A view of a storage. It lies inside of it: that was checked when it was read.
struct StoredTensor {
    let storage: TensorStorage
    /// In elements, like `strides`.
    let offset: Int
    let shape: [Int]
    let strides: [Int]

    init(storage: TensorStorage, offset: Int, shape: [Int], strides: [Int]) throws(CheckpointFault) {
        let fault: CheckpointFault = "a tensor reaches beyond its storage"
        guard shape.count == strides.count, offset >= 0, let count = elementCount(shape) else { throw fault }
        var last = offset
        for (length, stride) in zip(shape, strides) where length > 0 {
            let (reach, overflow) = (length - 1).multipliedReportingOverflow(by: stride)
            let (sum, tooFar) = last.addingReportingOverflow(reach)
            guard stride >= 0, !overflow, !tooFar else { throw fault }
            last = sum
        }
        guard count == 0 || last < storage.count else { throw fault }
        (self.storage, self.offset, self.shape, self.strides) = (storage, offset, shape, strides)
    }

    /// Whether the elements lie in order without gaps.
    var isContiguous: Bool {
        var expected = 1
        for (length, stride) in zip(shape, strides).reversed() where length != 1 {
            guard stride == expected else { return false }
            expected *= length
        }
        return true
    }
}
