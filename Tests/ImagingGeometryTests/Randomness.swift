import Foundation
import ImagingGeometry
import NodeTesting

/// A random right-handed orientation, spacing, origin and size.
func randomGeometry(_ random: inout Seeded, sizes: ClosedRange<Int> = 1...600) -> VolumeGeometry {
    func vector(_ range: ClosedRange<Double>) -> SIMD3<Double> { .random(in: range, using: &random) }
    var a = vector(-1...1), b = vector(-1...1)
    a /= (a * a).sum().squareRoot()
    b -= a * (a * b).sum()
    b /= (b * b).sum().squareRoot()
    return VolumeGeometry(size: .random(in: sizes, using: &random), spacingMM: vector(0.2...5), originLPS: vector(-1000...1000),
                          columnIndexDirection: a, rowIndexDirection: b)
}

/// The largest component of a vector, whatever its sign.
func largest(_ vector: SIMD3<Double>) -> Double { max(vector.max(), -vector.min()) }

/// Smooth texture, so that interpolation has something to interpolate.
func texture(_ geometry: VolumeGeometry) -> Volume {
    Volume(geometry: geometry, voxels: (0..<geometry.count).map { offset in
        let p = SIMD3<Double>(geometry.index(atOffset: offset))
        return Int16(400 * (sin(p.x * 0.9) + cos(p.y * 0.7 + p.x * 0.2) + sin(p.z * 1.1 + p.y * 0.3)))
    })
}

extension Array {
    /// The elements' bytes in native order, for a judge to read.
    var data: Data { withUnsafeBytes { Data($0) } }
    /// Elements out of a judge's bytes.
    init(_ data: Data, as type: Element.Type) { self = data.withUnsafeBytes { [Element]($0.bindMemory(to: Element.self)) } }
}

let hasPython = FileManager.default.isExecutableFile(atPath: Places.python)
