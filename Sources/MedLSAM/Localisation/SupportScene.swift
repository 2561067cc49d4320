import Foundation
import ImagingGeometry

/// A support's scan as a whole, in the support's own frame: for localisers that know no features.
struct SupportScene: Codable, Sendable {
    /// Box of the body, from the lowest to the highest slice that shows any.
    let body: Bounds
    /// The scan, seen from afar; nil unless the set was made for `registration`.
    let picture: CoarsePicture?
}

/// A scan at 8 mm and 8 bits: enough to lay one body over another, too coarse to tell what is in it.
struct CoarsePicture: Codable, Sendable {
    static let spacingMM = 8.0

    let geometry: VolumeGeometry
    /// Intensity as `WorkingVolume` has it, times 255; along the patient's axes, x fastest.
    let values: [UInt8]

    /// Each voxel the mean of the 3 mm voxels in and around it.
    init(_ volume: WorkingVolume, within bounds: Bounds) {
        let size = SIMD3<Int>(bounds.extent / Self.spacingMM, rounding: .down) &+ 1
        geometry = VolumeGeometry(size: size, spacingMM: SIMD3(repeating: Self.spacingMM), originLPS: bounds.low)
        let offsets = (0..<27).map { n in SIMD3<Double>(SIMD3<Int>(n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1)) * WorkingVolume.spacingMM }
        values = (0..<geometry.count).map { [geometry] n in
            let middle = geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: n)))
            return UInt8(offsets.reduce(0) { $0 + volume.intensity(at: middle + $1) } / Float(offsets.count) * 255)
        }
    }

    private init(geometry: VolumeGeometry, values: [UInt8]) {
        self.geometry = geometry
        self.values = values
    }

    func moved(by offset: SIMD3<Double>) -> CoarsePicture {
        CoarsePicture(geometry: VolumeGeometry(size: geometry.size, spacingMM: geometry.spacingMM, originLPS: geometry.originLPS + offset), values: values)
    }

    /// The same at twice the spacing, each voxel the mean of eight.
    func halved() -> CoarsePicture {
        let size = SIMD3<Int>(geometry.size.x / 2, geometry.size.y / 2, geometry.size.z / 2)
        let coarse = VolumeGeometry(size: size, spacingMM: geometry.spacingMM * 2, originLPS: geometry.originLPS + geometry.spacingMM / 2)
        return CoarsePicture(geometry: coarse, values: (0..<coarse.count).map { n in
            let at = coarse.index(atOffset: n) &* 2
            return UInt8((0..<8).reduce(0) { $0 + Int(values[geometry.offset(at &+ [$1 & 1, $1 >> 1 & 1, $1 >> 2])]) } / 8)
        })
    }

    private enum Key: String, CodingKey { case origin, size, values }

    func encode(to encoder: Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(geometry.originLPS, forKey: .origin)
        try container.encode(geometry.size, forKey: .size)
        try container.encode(Data(values), forKey: .values)
    }

    init(from decoder: Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let size = try container.decode(SIMD3<Int>.self, forKey: .size)
        values = [UInt8](try container.decode(Data.self, forKey: .values))
        guard size.min() > 0, size.max() < 1000, size.x * size.y * size.z == values.count else {
            throw DecodingError.dataCorruptedError(forKey: .values, in: container, debugDescription: "size and values differ")
        }
        geometry = VolumeGeometry(size: size, spacingMM: SIMD3(repeating: Self.spacingMM), originLPS: try container.decode(SIMD3<Double>.self, forKey: .origin))
    }
}
