import ImagingGeometry
import ModelRuntime

/// Makes template sets from contoured cases.
public struct TemplateBuilder: Sendable {
    private let position: PositionNetwork
    private let features: any Model
    private let medlamDigest: String
    /// Around a support's own point, how far other supports' features are looked for when similarity is measured.
    private static let reachMM = 9.0

    /// Makes sets that only these MedLAM weights can read; throws when they are not installed.
    public init(models: ContouringModels, medlam: ContouringNetwork = .medlamHN) throws {
        position = PositionNetwork(model: try models.graph("position", of: medlam))
        features = try models.graph("features", of: medlam)
        medlamDigest = try models.digest(of: medlam)
    }

    /// Makes a template set; masks are by TG-263 name and on their case's grid. Throws `casesUnusable`.
    ///
    /// Structures that no case has are refused; a case may lack some. Positions are kept relative to the case's own
    /// structures, so that nothing in the set leads back to the case's frame of reference. `localisers` are those besides `medlam` that the
    /// set shall serve: for `registration` it keeps each scan at 8 mm and 8 bits, for `medlam-published` a latent position a point.
    public func build(name: String, version: Int, provenance: String, structures: [StructureDefinition],
                      cases: [(volume: Volume, masks: [String: Mask])], localisers: Set<LocaliserChoice> = [], progress: (Double) -> Void = { _ in }) throws -> TemplateSet {
        var counts = Counts(structures)
        var supports: [[String: SupportStructure]] = [], scenes: [SupportScene] = [], fields: [(field: FeatureField, origin: SIMD3<Double>)] = []
        for (number, one) in cases.enumerated() {
            let masks = one.masks.filter { mask in structures.contains { $0.name == mask.key } }
            let working = WorkingVolume(one.volume)
            let (support, field, origin) = try self.support(one.volume, working, masks: masks, number: number, latents: localisers.contains(.medlamPublished), counts: &counts)
            let body = working.body ?? working.scanned, picture = localisers.contains(.registration) ? CoarsePicture(working, within: body) : nil
            supports.append(support)
            scenes.append(SupportScene(body: body.moved(by: -origin), picture: picture?.moved(by: -origin)))
            fields.append((field, origin))
            progress(Double(number + 1) / Double(cases.count))
        }
        if let missing = structures.first(where: { structure in !supports.contains { $0[structure.name] != nil } }) {
            throw MedLSAMError(.casesUnusable, "No case of template set \(name) has a contour of \(missing.name).")
        }
        let similarity = Dictionary(uniqueKeysWithValues: structures.map { ($0.name, typicalSimilarity($0.name, supports, fields)) })
        return TemplateSet(name: name, version: version, provenance: provenance, medlamDigest: medlamDigest,
                           structures: structures, typicalSimilarity: similarity, contrasts: counts.contrasts, supports: supports, scenes: scenes)
    }

    private func support(_ volume: Volume, _ working: WorkingVolume, masks: [String: Mask], number: Int, latents: Bool, counts: inout Counts) throws
        -> (support: [String: SupportStructure], field: FeatureField, origin: SIMD3<Double>) {
        for (name, mask) in masks where mask.geometry != volume.geometry {
            throw MedLSAMError(.casesUnusable, "The mask of \(name) in case \(number + 1) is not on its volume's grid.")
        }
        let points = masks.compactMapValues { ExtremePoints($0)?.points }
        guard let bounds = Bounds(points.values.joined()) else {
            throw MedLSAMError(.casesUnusable, "Case \(number + 1) has no contour of any structure of the template set.")
        }
        func latent(_ point: SIMD3<Double>) throws -> SIMD3<Double> { try position.latent(of: working.patch(around: point)).latent }
        let field = try FeatureField(working, covering: points.sorted { $0.key < $1.key }.flatMap(\.value), model: features)
        var support: [String: SupportStructure] = [:]
        for (name, points) in points {
            let descriptors = points.compactMap { field.descriptor(at: $0) }
            guard descriptors.count == points.count else {
                throw MedLSAMError(.casesUnusable, "\(name) in case \(number + 1) is too wide for MedLAM's patches.")
            }
            let shape = DistanceField(masks[name]!, around: Bounds(points)!)
            counts.add(name, shape, working)
            support[name] = SupportStructure(
                points: points.map { $0 - bounds.centre }, descriptors: descriptors,
                latent: try latent(points[ExtremePoints.pointsPerPart - 1]), latents: latents ? try points.map(latent) : nil,
                shape: shape.moved(by: -bounds.centre))
        }
        return (support, field, bounds.centre)
    }

    /// The mean similarity that a structure's points reach, each support's looked for in every other.
    private func typicalSimilarity(_ name: String, _ supports: [[String: SupportStructure]],
                                   _ fields: [(field: FeatureField, origin: SIMD3<Double>)]) -> Double {
        var found: [Double] = []
        for (n, here) in supports.enumerated() {
            guard let points = here[name]?.points else { continue }
            for (m, other) in supports.enumerated() where m != n {
                guard let descriptors = other[name]?.descriptors else { continue }
                for (point, descriptor) in zip(points, descriptors) {
                    if let match = fields[n].field.match(descriptor, near: point + fields[n].origin, reachMM: Self.reachMM) { found.append(match.similarity) }
                }
            }
        }
        return found.isEmpty ? 0 : found.reduce(0, +) / Double(found.count)
    }
}

/// Intensities inside and around each structure, gathered over the cases.
private struct Counts {
    private var inside: [String: [Double]], outside: [String: [Double]]

    init(_ structures: [StructureDefinition]) {
        inside = Dictionary(uniqueKeysWithValues: structures.map { ($0.name, Array(repeating: 0, count: Contrast.bins)) })
        outside = inside
    }

    mutating func add(_ name: String, _ shape: DistanceField, _ volume: WorkingVolume) {
        for offset in shape.values.indices where Double(shape.values[offset]) > -Contrast.ringMM {
            let position = shape.geometry.indexToPatient(SIMD3<Double>(shape.geometry.index(atOffset: offset)))
            guard volume.contains(position) else { continue }
            let bin = Contrast.bin(volume.intensity(at: position))
            if shape.values[offset] > 0 { inside[name]![bin] += 1 } else { outside[name]![bin] += 1 }
        }
    }

    var contrasts: [String: Contrast] {
        Dictionary(uniqueKeysWithValues: inside.map { ($0.key, Contrast(inside: $0.value, outside: outside[$0.key]!)) })
    }
}
