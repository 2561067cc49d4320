import ImagingGeometry
import ModelRuntime

/// Finds structures in a scan: latent jumps first, then features, each support voting, and warps that hold votes together.
///
/// The core is the paper's (jump by latent positions, refine by multi-scale features, whole and sub-patch extreme
/// points). Beyond it: feature patches are shared between points; the supports' points move together, so that single
/// wrong matches are outvoted; and the supports' shapes come along.
struct MedLAMLocaliser: StructureLocaliser {
    let position: PositionNetwork
    let features: any Model
    let templates: TemplateSet
    var threads = 1

    /// Random start patches (the paper's number).
    private static let starts = 10
    /// Jumps from patches near the estimate, after the first from afar: all structures as one, then each on its own.
    private static let nearJumps = (together: 2, singly: 2)
    /// Rounds in which all structures of a support move together, then rounds a structure: reach of a match and stiffness.
    private static let togetherRounds: [(reachMM: Double, stiffness: Warp.Stiffness)] = [
        (36, .init(knots: 6, bending: 30, moving: 0, scaling: 2e4, outlierMM: 15)),
        (21, .init(knots: 6, bending: 5, moving: 0, scaling: 5e3, outlierMM: 8)),
    ]
    private static let singleRounds: [(reachMM: Double, stiffness: Warp.Stiffness)] = [
        (15, .init(knots: 2, bending: 30, moving: 10, scaling: 5e3, outlierMM: 6)),
        (12, .init(knots: 2, bending: 30, moving: 10, scaling: 5e3, outlierMM: 6)),
    ]
    /// Every how many points are matched while all structures move together.
    private static let sparsely = 3
    /// Weight of a match: its similarity to this power.
    private static let sharpness = 4.0

    /// Each structure's place; none for structures that no support has, or when the scan holds no body.
    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        var opinions = try jumped(in: volume, seed: seed)
        let visible = opinions.flatMap { opinion in templates.structures.flatMap { opinion[$0.name] ?? [] } }.filter(volume.contains)
        guard !visible.isEmpty else { return PlacedStructure.agreed(opinions, templates) }
        progress(0.2)
        let field = try FeatureField(volume, covering: visible, model: features, threads: threads) { progress(0.2 + 0.7 * $0) }
        for round in Self.togetherRounds { moveTogether(&opinions, in: field, reachMM: round.reachMM, stiffness: round.stiffness) }
        var similarity: [String: Double] = [:]
        for round in Self.singleRounds { similarity = moveSingly(&opinions, in: field, reachMM: round.reachMM, stiffness: round.stiffness) }
        return PlacedStructure.agreed(opinions, templates, similarity: similarity)
    }

    // MARK: Latent positions

    /// Each support's structures where the latent positions say: first moved as one, then each on its own.
    private func jumped(in volume: WorkingVolume, seed: UInt64) throws -> [Opinion] {
        var random = SplitMix64(seed: seed)
        let starts = volume.bodyPositions(count: Self.starts, random: &random)
        guard !starts.isEmpty else { return [] }
        let seen = try concurrentMap(starts, threads: threads) { try position.latent(of: volume.patch(around: $0)) }
        var opinions: [Opinion] = templates.supports.map { support in
            let votes = support.values.flatMap { structure in seen.map { Self.shift(of: structure, seenFrom: $0) } }
            return support.mapValues { $0.moved(by: median(votes)) }
        }
        for round in 0..<Self.nearJumps.together + Self.nearJumps.singly {
            let shifts = try nearShifts(opinions, in: volume)
            opinions = zip(templates.supports, shifts).map { support, shifts in
                let common = median(Array(shifts.values))
                return support.reduce(into: [:]) { $0[$1.key] = $1.value.moved(by: round < Self.nearJumps.together ? common : shifts[$1.key]!) }
            }
        }
        return opinions
    }

    /// The shift of each support's structures that a patch where they are thought to be asks for.
    private func nearShifts(_ opinions: [Opinion], in volume: WorkingVolume) throws -> [[String: SIMD3<Double>]] {
        let here = try concurrentMap(templates.structures.map(\.name), threads: threads) { name in
            let centres = opinions.compactMap { $0[name]?[SupportStructure.centreIndex] }
            let nearest = median(centres).clamped(lowerBound: volume.scanned.low, upperBound: volume.scanned.high)
            return (name, try position.latent(of: volume.patch(around: nearest)))
        }
        return templates.supports.map { support in
            here.reduce(into: [:]) { shifts, seen in shifts[seen.0] = support[seen.0].map { Self.shift(of: $0, seenFrom: seen.1) } }
        }
    }

    private static func shift(of structure: SupportStructure, seenFrom seen: (latent: SIMD3<Double>, middleLPS: SIMD3<Double>)) -> SIMD3<Double> {
        seen.middleLPS + PositionNetwork.offsetMM(from: seen.latent, to: structure.latent) - structure.centre
    }

    // MARK: Features

    private struct Matched {
        var from: [SIMD3<Double>] = [], to: [SIMD3<Double>] = [], weights: [Double] = [], similarities: [Double] = []
    }

    /// Matches a support structure's points near where they are thought to be.
    private func matched(_ structure: SupportStructure, at points: [SIMD3<Double>], from: [SIMD3<Double>], each: Int, in field: FeatureField, reachMM: Double) -> Matched {
        var result = Matched()
        for n in stride(from: 0, to: points.count, by: each) {
            guard let match = field.match(structure.descriptors[n], near: points[n], reachMM: reachMM) else { continue }
            result.from.append(from[n])
            result.to.append(match.positionLPS)
            result.weights.append(power(max(0, match.similarity), Self.sharpness))
            result.similarities.append(match.similarity)
        }
        return result
    }

    /// One warp a support for all its structures; then each structure goes to the supports' common centre.
    private func moveTogether(_ opinions: inout [Opinion], in field: FeatureField, reachMM: Double, stiffness: Warp.Stiffness) {
        for (n, support) in templates.supports.enumerated() {
            var all = Matched()
            for definition in templates.structures {
                guard let structure = support[definition.name], let points = opinions[n][definition.name] else { continue }
                let matched = matched(structure, at: points, from: structure.points, each: Self.sparsely, in: field, reachMM: reachMM)
                all.from += matched.from
                all.to += matched.to
                all.weights += matched.weights
            }
            guard !all.from.isEmpty else { continue }
            let warp = Warp(from: all.from, to: all.to, weights: all.weights, stiffness: stiffness)
            opinions[n] = support.mapValues { $0.points.map(warp.callAsFunction) }
        }
        for definition in templates.structures {
            let known = opinions.compactMap { $0[definition.name] }
            guard !known.isEmpty else { continue }
            let centre = mean(PlacedStructure.consensus(known))
            for n in opinions.indices {
                guard let points = opinions[n][definition.name] else { continue }
                let shift = centre - mean(points)
                opinions[n][definition.name] = points.map { $0 + shift }
            }
        }
    }

    /// One warp a support and structure, stiff around what is known; returns each structure's similarity.
    private func moveSingly(_ opinions: inout [Opinion], in field: FeatureField, reachMM: Double, stiffness: Warp.Stiffness) -> [String: Double] {
        var similarity: [String: Double] = [:]
        for definition in templates.structures {
            var found: [Double] = []
            for (n, support) in templates.supports.enumerated() {
                guard let structure = support[definition.name], let points = opinions[n][definition.name] else { continue }
                let matched = matched(structure, at: points, from: points, each: 1, in: field, reachMM: reachMM)
                guard !matched.from.isEmpty else { continue }
                let warp = Warp(from: matched.from, to: matched.to, weights: matched.weights, stiffness: stiffness.along(points))
                opinions[n][definition.name] = points.map(warp.callAsFunction)
                found += matched.similarities
            }
            if !found.isEmpty { similarity[definition.name] = found.reduce(0, +) / Double(found.count) }
        }
        return similarity
    }
}
