import Foundation
import NodeTesting
import Testing
@testable import ModelRuntime

private let fixtures = Places.repository.appending(path: "Tests/Fixtures/checkpoints")

private func fixture(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: fixtures.appending(path: "\(name).pth")))
}

private func reason(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return (error as? CheckpointFault)?.reason ?? "\(error)" }
    return nil
}

/// Reads everything that a checkpoint holds.
private func readAll(_ bytes: [UInt8]) throws {
    let checkpoint = try Checkpoint(bytes)
    for tensor in checkpoint.tensors.values where tensor.shape.reduce(1, &*) < 100_000 { _ = try checkpoint.floats(tensor) }
}

@Suite struct CheckpointTests {
    @Test(arguments: ["plain", "parameters", "parallel", "half", "bfloat16", "double", "channels-last", "one-storage", "training-state"])
    func whatTorchSavedIsReadInEveryForm(name: String) throws {
        let checkpoint = try Checkpoint(fixture(name))
        #expect(checkpoint.tensors.keys.sorted() == ["conv.weight", "fc.bias"])
        let convolution = try #require(checkpoint.tensors["conv.weight"]), bias = try #require(checkpoint.tensors["fc.bias"])
        #expect(convolution.shape == [4, 2, 3, 3])
        #expect(bias.shape == [5])
        #expect(try checkpoint.floats(convolution) == (0..<72).map { Float($0) / 8 })
        #expect(try checkpoint.floats(bias) == (0..<5).map { -Float($0) / 4 })
    }

    @Test(arguments: [
        ("command", "it asks for posix.system, which checkpoints do not need"),
        ("compressed", " is compressed"),
        ("legacy", "it is not a zip archive, or its end is missing"),
        ("integers", "holds torch.LongStorage, not floating-point numbers"),
    ])
    func whatIsNotPlainWeightsIsRefusedWithTheReason(name: String, expected: String) throws {
        let bytes = try fixture(name)
        #expect(reason { try readAll(bytes) }?.hasSuffix(expected) == true)
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = try fixture("training-state")
        for length in 0..<bytes.count { #expect(reason { try readAll(Array(bytes[..<length])) } != nil) }
    }

    @Test func aChangedByteIsRefusedOrHarmless() throws {
        var random = Seeded(1)
        for name in ["plain", "training-state"] {
            let bytes = try fixture(name)
            for _ in 0..<3000 {
                var changed = bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    changed[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                _ = reason { try readAll(changed) }
            }
        }
    }

    @Test func aChangedWeightIsNoticed() throws {
        var bytes = try fixture("plain")
        let weight: [UInt8] = withUnsafeBytes(of: Float(71.0 / 8)) { Array($0) }
        let place = try #require(bytes.indices.first { Array(bytes[$0...].prefix(4)) == weight })
        bytes[place] ^= 1
        #expect(reason { try readAll(bytes) }?.hasSuffix("is damaged: its checksum is wrong") == true)
    }
}

@Suite struct PickleTests {
    /// A pickle of protocol 2 around the given instructions.
    private func pickle(_ parts: String...) -> ArraySlice<UInt8> {
        ([0x80, 2] + parts.flatMap { Array($0.utf8) } + Array(".".utf8))[...]
    }

    @Test(arguments: [
        ("cos\nsystem\n(X\u{4}\0\0\0trueq\0tR", "it asks for os.system, which checkpoints do not need"),
        ("cbuiltins\neval\n", "it asks for builtins.eval, which checkpoints do not need"),
        ("ctorch._utils\n_rebuild_tensor_v2\n)R", "a tensor is described in an unknown way"),
        ("ctorch\nFloatStorage\n)R", "it calls torch.FloatStorage in an unknown way"),
        ("X\u{1}\0\0\0a)R", "it calls something that is not a constructor"),
        ("S'true'\n", "its pickle uses opcode 0x53 at byte 2, which checkpoints do not need"),
        ("(ios\nsystem\n", "its pickle uses opcode 0x69 at byte 3, which checkpoints do not need"),
        ("t", "its pickle takes values that are not there"),
        ("K\u{1}(K\u{2}\u{73}", "its pickle takes values that are not there"),
        ("h\u{9}", "its pickle takes values that are not there"),
        ("X\u{7f}\u{7f}\u{7f}\u{7f}a", "its pickle is cut short"),
        ("K\u{1}K\u{2}", "its pickle ends in disorder"),
        ("}q\u{0}K\u{1}h\u{0}s", "its containers are nested in a way that no checkpoint is"),
    ])
    func anythingElseIsRefusedByName(program: String, expected: String) {
        let bytes = pickle(program)
        #expect(reason { _ = try PickleReader.read(bytes) } == expected)
    }

    @Test func deepNestingIsRefusedBeforeItCanHurt() {
        let lists = String(repeating: "]", count: 200_000) + String(repeating: "a", count: 199_999)
        let bytes = pickle(lists)
        #expect(reason { _ = try PickleReader.read(bytes) } == "its containers are nested in a way that no checkpoint is")
    }

    @Test func aViewBeyondItsStorageIsRefused() throws {
        let storage = TensorStorage(type: .float, key: "0", count: 100)
        for (offset, shape, strides) in [
            (0, [101], [1]), (1, [100], [1]), (-1, [2], [1]), (0, [2, 2], [99, 1]), (0, [2], [-1]), (0, [2, 3], [1]),
            (0, [Int.max, 2], [1, 1]), (0, [2], [Int.max]), (Int.max, [2], [1]), (0, [-1], [1]),
        ] {
            #expect(throws: CheckpointFault.self) { try StoredTensor(storage: storage, offset: offset, shape: shape, strides: strides) }
        }
        _ = try StoredTensor(storage: storage, offset: 99, shape: [1, 1], strides: [7, 1])
    }

    @Test func mutatedPicklesAreRefusedOrHarmless() throws {
        let archive = try StoredZip([UInt8](Data(contentsOf: fixtures.appending(path: "training-state.pth"))))
        let bytes = Array(try archive.read("training-state/data.pkl"))
        var random = Seeded(1)
        var refused = 0
        for _ in 0..<6000 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<changed.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: changed[place] = UInt8.random(in: 0...255, using: &random)
                case 1: changed.remove(at: place)
                default: changed.insert(bytes.randomElement(using: &random)!, at: place)
                }
            }
            if reason({ _ = try PickleReader.read(changed[...]) }) != nil { refused += 1 }
        }
        #expect(refused > 3000)
    }
}
