/// Reads the pickle inside a PyTorch checkpoint (protocol 2, as torch.save writes it) and nothing else.
///
/// A pickle is a program; this is a machine for the part of the language that builds numbers, names, containers and
/// tensors. Any other opcode and any other global is refused by name. Nothing is called, imported or executed.
struct PickleReader {
    /// The value that the pickle builds.
    static func read(_ bytes: ArraySlice<UInt8>) throws(CheckpointFault) -> PickleValue {
        var reader = PickleReader(bytes: Array(bytes))
        return try reader.run()
    }

    private let bytes: [UInt8]
    private var position = 0
    private var stack: [PickleValue] = []
    /// Heights of the stack at the open marks: nothing below the last may be taken.
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func run() throws(CheckpointFault) -> PickleValue {
        guard try byte() == 0x80, try byte() == 2 else { throw "its pickle is not of protocol 2" }
        while true {
            let at = position
            let code = try byte()
            guard let opcode = Opcode(rawValue: code) else {
                throw "its pickle uses opcode 0x\(String(code, radix: 16)) at byte \(at), which checkpoints do not need"
            }
            if opcode == .stop { break }
            try execute(opcode)
        }
        guard stack.count == 1, marks.isEmpty, position == bytes.count else { throw "its pickle ends in disorder" }
        return stack[0]
    }

    private enum Opcode: UInt8 {
        case mark = 0x28, stop = 0x2e, none = 0x4e, true_ = 0x88, false_ = 0x89
        case int4 = 0x4a, int1 = 0x4b, int2 = 0x4d, long = 0x8a, double = 0x47, string = 0x58
        case emptyTuple = 0x29, tuple = 0x74, tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87
        case emptyList = 0x5d, append = 0x61, appends = 0x65
        case emptyDictionary = 0x7d, setItem = 0x73, setItems = 0x75
        case global = 0x63, reduce = 0x52, build = 0x62, persistentID = 0x51
        case get1 = 0x68, get4 = 0x6a, put1 = 0x71, put4 = 0x72
    }

    private mutating func execute(_ opcode: Opcode) throws(CheckpointFault) {
        switch opcode {
        case .stop: break
        case .mark: marks.append(stack.count)
        case .none: stack.append(.none)
        case .true_: stack.append(.bool(true))
        case .false_: stack.append(.bool(false))
        case .int1: stack.append(.int(try integer(1)))
        case .int2: stack.append(.int(try integer(2)))
        case .int4: stack.append(.int(Int(Int32(truncatingIfNeeded: try integer(4)))))
        case .long: stack.append(.int(try long()))
        case .double: stack.append(.double(Double(bitPattern: UInt64(bitPattern: Int64(try integer(8))).byteSwapped)))
        case .string: stack.append(.string(try text(try integer(4))))
        case .emptyTuple: stack.append(.container(PickleContainer(.tuple)))
        case .tuple: try pushTuple(try popToMark())
        case .tuple1, .tuple2, .tuple3: try pushTuple(try pop(Int(opcode.rawValue) - 0x84))
        case .emptyList: stack.append(.container(PickleContainer(.list)))
        case .append: try extend(with: try pop(1))
        case .appends: try extend(with: try popToMark())
        case .emptyDictionary: stack.append(.container(PickleContainer(.dictionary)))
        case .setItem: try setItems(try pop(2))
        case .setItems: try setItems(try popToMark())
        case .global: stack.append(.global(try global()))
        case .persistentID: stack.append(.storage(try storage(try pop(1)[0])))
        case .reduce: try reduce()
        case .build: try build()
        case .get1: try get(try integer(1))
        case .get4: try get(try integer(4))
        case .put1: memo[try integer(1)] = try top()
        case .put4: memo[try integer(4)] = try top()
        }
    }
}

// MARK: - Bytes

extension PickleReader {
    private static let cutShort: CheckpointFault = "its pickle is cut short"

    private mutating func byte() throws(CheckpointFault) -> UInt8 {
        guard position < bytes.count else { throw Self.cutShort }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func integer(_ width: Int) throws(CheckpointFault) -> Int {
        guard position + width <= bytes.count else { throw Self.cutShort }
        defer { position += width }
        return Int(littleEndian: bytes, at: position, width: width)
    }

    private mutating func long() throws(CheckpointFault) -> Int {
        let width = try integer(1)
        guard width <= 8 else { throw "its pickle holds an integer of \(width) bytes" }
        let unsigned = try integer(width)
        let unusedBits = 64 - 8 * width
        return (unsigned << unusedBits) >> unusedBits
    }

    private mutating func text(_ length: Int) throws(CheckpointFault) -> String {
        guard length <= bytes.count - position else { throw Self.cutShort }
        defer { position += length }
        guard let text = String(validating: bytes[position..<position + length], as: UTF8.self) else {
            throw "its pickle holds a name that is not UTF-8"
        }
        return text
    }

    private mutating func global() throws(CheckpointFault) -> PickleGlobal {
        var parts: [String] = []
        for _ in 0..<2 {
            guard let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) else { throw Self.cutShort }
            parts.append(try text(end - position))
            position += 1
        }
        let name = parts.joined(separator: ".")
        guard let global = PickleGlobal(rawValue: name) else { throw "it asks for \(name), which checkpoints do not need" }
        return global
    }
}

// MARK: - Stack

extension PickleReader {
    private static let disorder: CheckpointFault = "its pickle takes values that are not there"

    private func top() throws(CheckpointFault) -> PickleValue {
        guard stack.count > marks.last ?? 0 else { throw Self.disorder }
        return stack[stack.count - 1]
    }

    private mutating func pop(_ count: Int) throws(CheckpointFault) -> [PickleValue] {
        guard stack.count - count >= marks.last ?? 0 else { throw Self.disorder }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws(CheckpointFault) -> [PickleValue] {
        guard let mark = marks.popLast() else { throw Self.disorder }
        defer { stack.removeLast(stack.count - mark) }
        return Array(stack[mark...])
    }

    private func container(_ kind: PickleContainer.Kind) throws(CheckpointFault) -> PickleContainer {
        guard case .container(let container) = try top(), container.kind == kind else { throw Self.disorder }
        return container
    }

    private mutating func pushTuple(_ values: [PickleValue]) throws(CheckpointFault) {
        stack.append(.container(try PickleContainer(tuple: values)))
    }

    // Mutating, so that `self` is read after the arguments have been taken off its stack.
    private mutating func extend(with values: [PickleValue]) throws(CheckpointFault) {
        let list = try container(.list)
        for value in values { try list.append(value) }
    }

    private mutating func setItems(_ values: [PickleValue]) throws(CheckpointFault) {
        let dictionary = try container(.dictionary)
        guard values.count.isMultiple(of: 2) else { throw Self.disorder }
        for index in stride(from: 0, to: values.count, by: 2) { try dictionary.set(values[index], values[index + 1]) }
    }

    private mutating func get(_ index: Int) throws(CheckpointFault) {
        guard let value = memo[index] else { throw Self.disorder }
        stack.append(value)
    }
}

// MARK: - What a checkpoint is made of

extension PickleReader {
    /// The storage that a persistent identifier names: ("storage", type, key, device, number of elements).
    private func storage(_ identifier: PickleValue) throws(CheckpointFault) -> TensorStorage {
        guard case .container(let tuple) = identifier, tuple.values.count == 5, case .string("storage") = tuple.values[0],
              case .global(let type) = tuple.values[1], type.elementSize != nil, case .string(let key) = tuple.values[2],
              case .int(let count) = tuple.values[4], count >= 0 else { throw "a storage is described in an unknown way" }
        return TensorStorage(type: type, key: key, count: count)
    }

    /// Puts the object in place of its constructor and arguments.
    private mutating func reduce() throws(CheckpointFault) {
        let values = try pop(2)
        guard case .global(let constructor) = values[0], case .container(let arguments) = values[1], arguments.kind == .tuple else {
            throw "it calls something that is not a constructor"
        }
        switch constructor {
        case .orderedDictionary where arguments.values.isEmpty: stack.append(.container(PickleContainer(.dictionary)))
        case .rebuildTensor: stack.append(.tensor(try tensor(arguments.values)))
        case .rebuildParameter:
            guard case .tensor(let tensor)? = arguments.values.first else { throw "a parameter is described in an unknown way" }
            stack.append(.tensor(tensor))
        default: throw "it calls \(constructor.rawValue) in an unknown way"
        }
    }

    /// (storage, offset, shape, strides, requires_grad, hooks).
    private func tensor(_ arguments: [PickleValue]) throws(CheckpointFault) -> StoredTensor {
        guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1],
              let shape = integers(arguments[2]), let strides = integers(arguments[3]) else {
            throw "a tensor is described in an unknown way"
        }
        return try StoredTensor(storage: storage, offset: offset, shape: shape, strides: strides)
    }

    private func integers(_ value: PickleValue) -> [Int]? {
        guard case .container(let tuple) = value, tuple.kind == .tuple else { return nil }
        let integers = tuple.values.compactMap { if case .int(let integer) = $0 { integer } else { nil } }
        return integers.count == tuple.values.count ? integers : nil
    }

    /// A state_dict's attributes (its `_metadata`) say nothing that is needed: they are dropped.
    private mutating func build() throws(CheckpointFault) {
        _ = try pop(1)
        _ = try container(.dictionary)
    }
}
