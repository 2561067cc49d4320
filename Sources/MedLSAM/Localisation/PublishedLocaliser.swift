import ImagingGeometry
import ModelRuntime

/// MedLAM's algorithm as published: a jump by latent positions for every landmark, then a patch of its own whose features move it.
///
/// Landmarks are the six extreme points of the whole structure (WPL) and of its parts along z (SPL). Ten random patches' mean latent
/// position, held against the supports' mean latent position of a landmark, gives an offset from the mean of the ten places; the voxel of
/// the patch there that is most like the supports' mean features, by cosine over three scales, is the landmark. Where we differ: features
/// are those of the landmark's voxel (the paper's text; its program sums over 8 x 8 x 8 voxels), and landmarks whose places lie in the same
/// cell of 24 mm share a patch, so that a fraction of the cost remains.
struct PublishedLocaliser: StructureLocaliser {
    let position: PositionNetwork
    let features: any Model
    /// Made for `medlam-published`.
    let templates: TemplateSet
    var threads = 1

    /// Random start patches (the paper's number).
    private static let starts = 10
    /// Edge of the cells whose landmarks share a patch.
    private static let cellMM = 24.0

    private struct Landmark: Sendable {
        let structure: String
        /// Index among `ExtremePoints.points`.
        let index: Int
        let descriptor: Descriptor
        /// Where the jump leads.
        let place: SIMD3<Double>
    }

    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        var random = SplitMix64(seed: seed)
        let seen = try concurrentMap(volume.bodyPositions(count: Self.starts, random: &random), threads: threads) { try position.latent(of: volume.patch(around: $0)) }
        guard !seen.isEmpty else { return [:] }
        let latent = mean(seen.map(\.latent)), start = mean(seen.map(\.middleLPS))
        let all = templates.structures.flatMap { landmarks(of: $0.name, from: latent, at: start, in: volume) }
        let cells = Dictionary(grouping: all.indices) { SIMD3<Int>(all[$0].place / Self.cellMM, rounding: .toNearestOrEven) }
        let patches = cells.map { (centre: SIMD3<Double>($0.key) * Self.cellMM, members: $0.value) }
        let answers = try concurrentMap(patches, threads: threads, progress: progress) { patch -> [(Int, Match?)] in
            // A patch at a time: the features of all of them would not fit into memory.
            let field = try FeatureField(volume, centres: [patch.centre], model: features)
            return patch.members.map { ($0, field.match(all[$0].descriptor, near: all[$0].place, reachMM: FeatureField.wholePatchMM)) }
        }
        var matches = [Match?](repeating: nil, count: all.count)
        for (index, match) in answers.joined() { matches[index] = match }
        return templates.structures.reduce(into: [:]) { placed, structure in
            placed[structure.name] = self.placed(structure.name, zip(all, matches).filter { $0.0.structure == structure.name })
        }
    }

    /// Where the jump leads for each landmark of a structure, moved into the scan.
    private func landmarks(of structure: String, from latent: SIMD3<Double>, at start: SIMD3<Double>, in volume: WorkingVolume) -> [Landmark] {
        let supports = templates.supports.compactMap { $0[structure] }
        return (0..<ExtremePoints.count).filter { !ExtremePoints.isCentre($0) }.map { index in
            let place = start + PositionNetwork.offsetMM(from: latent, to: mean(supports.map { $0.latents![index] }))
            return Landmark(structure: structure, index: index, descriptor: Descriptor(meanOf: supports.map { $0.descriptors[index] }),
                            place: place.clamped(lowerBound: volume.scanned.low, upperBound: volume.scanned.high))
        }
    }

    /// Centres lie between the faces that were found; the box is what the whole's faces span.
    private func placed(_ structure: String, _ found: [(landmark: Landmark, match: Match?)]) -> PlacedStructure {
        var points = [SIMD3<Double>](repeating: .zero, count: ExtremePoints.count)
        for one in found { points[one.landmark.index] = one.match?.positionLPS ?? one.landmark.place }
        for centre in points.indices where ExtremePoints.isCentre(centre) { points[centre] = mean(Array(points[centre + 1 - ExtremePoints.pointsPerPart..<centre])) }
        let low = SIMD3(points[0].x, points[2].y, points[4].z), high = SIMD3(points[1].x, points[3].y, points[5].z)
        let similarities = found.compactMap(\.match?.similarity)
        return PlacedStructure(points: points, bounds: Bounds(low: pointwiseMin(low, high), high: pointwiseMax(low, high)),
                               similarity: similarities.reduce(0, +) / Double(max(1, similarities.count)), of: structure, templates)
    }
}
