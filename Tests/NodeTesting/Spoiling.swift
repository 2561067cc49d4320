/// Bytes as a bad disk, line or program leaves them.
public enum Spoiling {
    /// Changes, cuts out, doubles or cuts off some bytes from a position on.
    public static func spoil(_ bytes: inout [UInt8], from start: Int, _ random: inout Seeded) {
        for _ in 0..<Int.random(in: 1...6, using: &random) where bytes.count > start + 68 {
            let at = Int.random(in: start..<bytes.count, using: &random), end = min(at + Int.random(in: 1...16, using: &random), bytes.count)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bytes.replaceSubrange(at..<end, with: [UInt8](repeating: [0, 0x7F, 0x80, 0xFF].randomElement(using: &random)!, count: end - at))
            case 3: bytes.removeSubrange(at..<end)
            case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
            default: if Int.random(in: 0..<4, using: &random) == 0 { bytes.removeSubrange(at...) }
            }
        }
    }
}
