import Foundation
import ImagingGeometry

/// What localisation needs to know of the support patients: latent positions, features and shapes.
public struct TemplateSet: Codable, Sendable {
    public let name: String
    public private(set) var version: Int
    /// Where the support patients come from and under which licence.
    public let provenance: String
    /// SHA-256 of the MedLAM weights that made it; no others can read its positions and features.
    public let medlamDigest: String
    /// The structures it knows, in the order of the results.
    public let structures: [StructureDefinition]
    /// By structure: the similarity that its points reach when supports are localised in each other.
    let typicalSimilarity: [String: Double]
    /// By structure: the confidence, 0 to 1, below which a mask is withheld; nil, or no entry, for what the method takes.
    public private(set) var leastConfidence: [String: Double]?
    /// By structure: what intensities say, from all supports.
    let contrasts: [String: Contrast]
    /// Each support patient's structures by name; a patient may lack some.
    let supports: [[String: SupportStructure]]
    /// Each support's scan as a whole; nil in sets of earlier versions.
    let scenes: [SupportScene]?

    /// Reads an encoded template set; throws `templateSetUnreadable`.
    public init(decoding data: Data) throws {
        do {
            self = try JSONDecoder().decode(TemplateSet.self, from: data)
        } catch {
            throw MedLSAMError(.templateSetUnreadable, "The template set cannot be read: \(error)")
        }
        let known = Set(structures.map(\.name))
        guard known.count == structures.count else { throw MedLSAMError(.templateSetUnreadable, "Template set \(name) names a structure twice.") }
        if let stranger = supports.flatMap(\.keys).filter({ !known.contains($0) }).min() {
            throw MedLSAMError(.templateSetUnreadable, "Template set \(name) has supports of \(stranger), which is none of its structures.")
        }
        if let lonely = structures.first(where: { structure in supports.allSatisfy { $0[structure.name] == nil } }) {
            throw MedLSAMError(.templateSetUnreadable, "Template set \(name) has no support of its structure \(lonely.name).")
        }
        try Self.check(leastConfidence ?? [:], of: known, name)
        guard scenes == nil || scenes?.count == supports.count else { throw MedLSAMError(.templateSetUnreadable, "Template set \(name) has not one scene a support.") }
    }

    init(name: String, version: Int, provenance: String, medlamDigest: String, structures: [StructureDefinition],
         typicalSimilarity: [String: Double], leastConfidence: [String: Double]? = nil, contrasts: [String: Contrast], supports: [[String: SupportStructure]],
         scenes: [SupportScene]? = nil) {
        self.name = name
        self.version = version
        self.provenance = provenance
        self.medlamDigest = medlamDigest
        self.structures = structures
        self.typicalSimilarity = typicalSimilarity
        self.leastConfidence = leastConfidence
        self.contrasts = contrasts
        self.supports = supports
        self.scenes = scenes
    }

    /// The next version of the set, which withholds these structures' masks below these confidences (0 to 1); throws `templateSetUnreadable`
    /// for one that it does not know or that is no confidence.
    public func withholding(below confidences: [String: Double]) throws -> TemplateSet {
        try Self.check(confidences, of: Set(structures.map(\.name)), name)
        var next = self
        next.version += 1
        next.leastConfidence = (leastConfidence ?? [:]).merging(confidences) { $1 }
        return next
    }

    private static func check(_ confidences: [String: Double], of known: Set<String>, _ name: String) throws {
        if let wrong = confidences.sorted(by: { $0.key < $1.key }).first(where: { !known.contains($0.key) || !(0...1).contains($0.value) }) {
            throw MedLSAMError(.templateSetUnreadable, "Template set \(name) cannot withhold \(wrong.key) below \(wrong.value): "
                + (known.contains(wrong.key) ? "a confidence lies between 0 and 1." : "it is none of its structures."))
        }
    }

    /// Throws `templateSetLacks` when the set holds nothing that a localiser can work with.
    public func check(for localiser: LocaliserChoice) throws {
        let serves = switch localiser {
        case .medlam, .given: true
        case .medlamPublished: supports.allSatisfy { $0.values.allSatisfy { $0.latents != nil } }
        case .registration: scenes?.allSatisfy { $0.picture != nil } ?? false
        case .templateBox: scenes != nil
        }
        guard serves else {
            throw MedLSAMError(.templateSetLacks, "Template set \(name) version \(version) was not made for the localiser \(localiser.rawValue): "
                + "build it again with `template build --localiser \(localiser.rawValue)`.")
        }
    }

    /// JSON with readable names and sorted keys; long arrays are base64 of little-endian numbers.
    public func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}

/// One structure of one support patient.
struct SupportStructure: Codable, Sendable {
    /// Its extreme points (see `ExtremePoints`), LPS mm in the support's own frame.
    let points: [SIMD3<Double>]
    /// MedLAM's features at each point.
    let descriptors: [Descriptor]
    /// MedLAM's latent position of the patch around the first centre point, in LPS order.
    let latent: SIMD3<Double>
    /// The same of the patch around each point; nil unless the set was made for `medlam-published`.
    let latents: [SIMD3<Double>]?
    let shape: DistanceField

    /// The whole structure's centre.
    var centre: SIMD3<Double> { points[Self.centreIndex] }
    static let centreIndex = ExtremePoints.pointsPerPart - 1

    func moved(by shift: SIMD3<Double>) -> [SIMD3<Double>] { points.map { $0 + shift } }

    init(points: [SIMD3<Double>], descriptors: [Descriptor], latent: SIMD3<Double>, latents: [SIMD3<Double>]? = nil, shape: DistanceField) {
        self.points = points
        self.descriptors = descriptors
        self.latent = latent
        self.latents = latents
        self.shape = shape
    }

    private enum Key: String, CodingKey {
        case points, descriptors, latent, latents, shape, shapeOrigin, shapeSize
    }

    /// Steps a unit vector's component, and a millimetre of distance, are divided into to fit a byte.
    private static let vectorSteps: Float = 127, distanceSteps: Float = 10

    func encode(to encoder: Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(Data(packing: points), forKey: .points)
        try values.encode((0..<Descriptor.shrinks.count).map { level in
            Data(bytesOf: descriptors.flatMap { $0.levels[level] }, steps: Self.vectorSteps)
        }, forKey: .descriptors)
        try values.encode(latent, forKey: .latent)
        try values.encodeIfPresent(latents.map { Data(packing: $0) }, forKey: .latents)
        try values.encode(shape.geometry.originLPS, forKey: .shapeOrigin)
        try values.encode(shape.geometry.size, forKey: .shapeSize)
        try values.encode(Data(bytesOf: shape.values, steps: Self.distanceSteps), forKey: .shape)
    }

    init(from decoder: Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        func require(_ condition: Bool, _ key: Key, _ reason: String) throws {
            if !condition { throw DecodingError.dataCorruptedError(forKey: key, in: values, debugDescription: reason) }
        }
        let count = ExtremePoints.count
        func vectors(_ data: Data, _ key: Key) throws -> [SIMD3<Double>] {
            let numbers = data.unpackedFloats()
            try require(numbers.count == 3 * count && numbers.allSatisfy(\.isFinite), key, "not \(count) points")
            return (0..<count).map { n in SIMD3<Double>(SIMD3<Float>(numbers[3 * n..<3 * n + 3])) }
        }
        points = try vectors(values.decode(Data.self, forKey: .points), .points)
        let levels = try values.decode([Data].self, forKey: .descriptors).map { $0.floats(steps: Self.vectorSteps) }
        try require(levels.count == Descriptor.shrinks.count && levels.allSatisfy { !$0.isEmpty && $0.count % count == 0 },
                    .descriptors, "not \(Descriptor.shrinks.count) levels of \(count) vectors")
        descriptors = (0..<count).map { n in
            Descriptor(levels: levels.map { (level: [Float]) -> [Float] in
                let channels = level.count / count
                return unit(Array(level[n * channels..<(n + 1) * channels]))
            })
        }
        latent = try values.decode(SIMD3<Double>.self, forKey: .latent)
        latents = try values.decodeIfPresent(Data.self, forKey: .latents).map { try vectors($0, .latents) }
        let size = try values.decode(SIMD3<Int>.self, forKey: .shapeSize)
        let distances = try values.decode(Data.self, forKey: .shape).floats(steps: Self.distanceSteps)
        try require(size.min() > 0 && size.max() < 1000 && size.x * size.y * size.z == distances.count, .shape, "size and values differ")
        shape = DistanceField(geometry: VolumeGeometry(
            size: size, spacingMM: SIMD3(repeating: WorkingVolume.spacingMM),
            originLPS: try values.decode(SIMD3<Double>.self, forKey: .shapeOrigin)), values: distances)
    }
}

extension Data {
    /// Coordinates as 32 bit floats, little-endian as every machine that the runtime supports.
    fileprivate init(packing vectors: [SIMD3<Double>]) {
        self = vectors.flatMap { [Float($0.x), Float($0.y), Float($0.z)] }.withUnsafeBufferPointer { Data(buffer: $0) }
    }

    fileprivate func unpackedFloats() -> [Float] {
        withUnsafeBytes { bytes in
            (0..<count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    /// Floats as signed bytes: so many steps to one.
    fileprivate init(bytesOf floats: [Float], steps: Float) {
        self.init(floats.map { UInt8(bitPattern: Int8(Swift.max(-127, Swift.min(127, ($0 * steps).rounded())))) })
    }

    fileprivate func floats(steps: Float) -> [Float] { map { Float(Int8(bitPattern: $0)) / steps } }
}
