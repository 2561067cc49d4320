import ImagingGeometry
import ModelRuntime

/// Where a structure was found.
struct PlacedStructure: Sendable {
    /// Its extreme points, LPS mm, as the supports agree on them.
    let points: [SIMD3<Double>]
    /// Mean distance of the supports' opinions on its centre from their median, mm.
    let spreadMM: Double
    /// Mean similarity of its points' matches.
    let similarity: Double
    /// Each support's shape, and the map from the query's space to the support's.
    let shapes: [(field: DistanceField, toSupport: Warp)]

    /// Box of the whole structure.
    var bounds: Bounds { Bounds(points)! }

    /// How far inside the structure a position lies by the mean of the supports' shapes, mm.
    func distance(at positionLPS: SIMD3<Double>) -> Double {
        shapes.reduce(0) { $0 + $1.field.distance(at: $1.toSupport(positionLPS)) } / Double(shapes.count)
    }
}

/// Finds structures in a scan: latent jumps first, then features, each support voting, and warps that hold votes together.
///
/// The core is the paper's (jump by latent positions, refine by multi-scale features, whole and sub-patch extreme
/// points). Beyond it: feature patches are shared between points; the supports' points move together, so that single
/// wrong matches are outvoted; and the supports' shapes come along.
struct Localiser: Sendable {
    let position: PositionNetwork
    let features: any Model
    let templates: TemplateSet
    var threads = 1

    /// Random start patches (the paper's number).
    private static let starts = 10
    /// Jumps from patches near the estimate, after the first from afar.
    private static let nearJumps = 2
    /// How far around the jumps' answer the coarse search goes (x, y, z), and its step, mm.
    private static let voteReachMM = SIMD3(30.0, 30, 60), voteStepMM = 6.0
    /// Rounds in which all structures of a support move together, then rounds a structure: reach of a match and stiffness.
    private static let togetherRounds: [(reachMM: Double, stiffness: Warp.Stiffness)] = [
        (36, .init(knots: 6, bending: 30, moving: 0, scaling: 2e4, outlierMM: 15)),
        (21, .init(knots: 6, bending: 5, moving: 0, scaling: 5e3, outlierMM: 8)),
    ]
    private static let singleRounds: [(reachMM: Double, stiffness: Warp.Stiffness)] = [
        (15, .init(knots: 2, bending: 5, moving: 2, scaling: 5e3, outlierMM: 6)),
    ]
    /// Every how many points are matched while all structures move together.
    private static let sparsely = 3
    /// Weight of a match: its similarity to this power.
    private static let sharpness = 4.0
    /// A structure's warp has a knot for each such length along z.
    private static let knotDistanceMM = 60.0
    /// Supports that lie this far from the median opinion count half, mm.
    private static let consensusMM = 8.0

    /// One support's opinion: for each structure that it has, where its points lie in the query.
    typealias Opinion = [String: [SIMD3<Double>]]

    /// Each structure's place; none for structures that no support has, or when the scan holds no body.
    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        var opinions = try jumped(in: volume, seed: seed)
        guard let around = Bounds(opinions.flatMap { $0.values.joined() }) else { return [:] }
        progress(0.2)
        let scan = Bounds(volume.geometry)
        let reach = SIMD3(0, 0, Self.voteReachMM.z)
        let ends = [around.low - reach, around.high + reach].map { SIMD3(around.centre.x, around.centre.y, min(max($0.z, scan.low.z), scan.high.z)) }
        let positions = opinions.flatMap { $0.values.joined() }.filter(volume.contains)
        guard !positions.isEmpty else { return placed(opinions, similarity: [:]) }
        let field = try FeatureField(volume, covering: positions + ends, model: features, threads: threads) { progress(0.2 + 0.6 * $0) }
        vote(&opinions, in: field)
        for round in Self.togetherRounds { moveTogether(&opinions, in: field, reachMM: round.reachMM, stiffness: round.stiffness) }
        var similarity: [String: Double] = [:]
        for round in Self.singleRounds { similarity = moveSingly(&opinions, in: field, reachMM: round.reachMM, stiffness: round.stiffness) }
        progress(1)
        return placed(opinions, similarity: similarity)
    }

    // MARK: Latent positions

    /// Each support's structures, moved as one to where the latent positions say.
    private func jumped(in volume: WorkingVolume, seed: UInt64) throws -> [Opinion] {
        var random = SplitMix64(seed: seed)
        let starts = volume.bodyPositions(count: Self.starts, random: &random)
        guard !starts.isEmpty else { return [] }
        let seen = try concurrentMap(starts, threads: threads) { try position.latent(of: volume.patch(around: $0)) }
        var shifts = templates.supports.map { support in
            median(support.values.flatMap { structure in
                seen.map { $0.middleLPS + PositionNetwork.offsetMM(from: $0.latent, to: structure.latent) - structure.centre }
            })
        }
        for _ in 0..<Self.nearJumps {
            var votes = [[SIMD3<Double>]](repeating: [], count: shifts.count)
            for definition in templates.structures {
                let centres = zip(templates.supports, shifts).compactMap { support, shift in support[definition.name].map { $0.centre + shift } }
                guard !centres.isEmpty else { continue }
                let scan = Bounds(volume.geometry)
                let here = try position.latent(of: volume.patch(around: median(centres).clamped(lowerBound: scan.low, upperBound: scan.high)))
                for (n, support) in templates.supports.enumerated() {
                    guard let structure = support[definition.name] else { continue }
                    votes[n].append(here.middleLPS + PositionNetwork.offsetMM(from: here.latent, to: structure.latent) - structure.centre)
                }
            }
            shifts = votes.map(median)
        }
        return zip(templates.supports, shifts).map { support, shift in support.mapValues { $0.points.map { $0 + shift } } }
    }

    // MARK: Features

    /// Moves all opinions by the one shift at which features agree best, looking at the coarse levels only.
    private func vote(_ opinions: inout [Opinion], in field: FeatureField) {
        var points: [(Descriptor, SIMD3<Double>)] = []
        for (support, opinion) in zip(templates.supports, opinions) {
            for definition in templates.structures {
                guard let structure = support[definition.name], let here = opinion[definition.name] else { continue }
                for n in stride(from: 0, to: here.count, by: ExtremePoints.pointsPerPart) { points.append((structure.descriptors[n + 6], here[n + 6])) }
            }
        }
        let steps = SIMD3<Int>(Self.voteReachMM / Self.voteStepMM, rounding: .down)
        var best = SIMD3<Double>.zero, bestSum = -Double.infinity
        for z in -steps.z...steps.z {
            for y in -steps.y...steps.y {
                for x in -steps.x...steps.x {
                    let shift = SIMD3(Double(x), Double(y), Double(z)) * Self.voteStepMM
                    let sum = points.reduce(0) { $0 + (field.coarseSimilarity($1.0, at: $1.1 + shift) ?? 0) }
                    if sum > bestSum { (best, bestSum) = (shift, sum) }
                }
            }
        }
        opinions = opinions.map { $0.mapValues { $0.map { $0 + best } } }
    }

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
            let centre = mean(Self.consensus(known))
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

    // MARK: Agreement

    /// Each point where the supports agree: the mean of their opinions, those far from the median counting less.
    static func consensus(_ opinions: [[SIMD3<Double>]]) -> [SIMD3<Double>] {
        opinions[0].indices.map { n in
            let points = opinions.map { $0[n] }, middle = median(points)
            var sum = SIMD3<Double>.zero, weights = 0.0
            for point in points {
                let off = point - middle, weight = 1 / (1 + (off * off).sum() / (consensusMM * consensusMM))
                sum += weight * point
                weights += weight
            }
            return sum / weights
        }
    }

    /// What the opinions come to, with each support's shape bound to the common points.
    private func placed(_ opinions: [Opinion], similarity: [String: Double]) -> [String: PlacedStructure] {
        var placed: [String: PlacedStructure] = [:]
        for definition in templates.structures {
            let voters = zip(templates.supports, opinions).compactMap { support, opinion in
                support[definition.name].flatMap { structure in opinion[definition.name].map { (structure, $0) } }
            }
            guard !voters.isEmpty else { continue }
            let points = Self.consensus(voters.map(\.1))
            let centres = voters.map { mean($0.1) }, middle = median(centres)
            let follow = Warp.Stiffness(knots: 2, bending: 0.01, moving: 0, scaling: 10, outlierMM: 20).along(points)
            placed[definition.name] = PlacedStructure(
                points: points,
                spreadMM: centres.reduce(0) { $0 + length($1 - middle) } / Double(centres.count),
                similarity: similarity[definition.name] ?? 0,
                shapes: voters.map { structure, _ in
                    (structure.shape, Warp(from: points, to: structure.points, weights: points.map { _ in 1 }, stiffness: follow))
                })
        }
        return placed
    }
}

extension Warp.Stiffness {
    /// The same with as many knots as the points' extent along z calls for.
    fileprivate func along(_ points: [SIMD3<Double>]) -> Warp.Stiffness {
        var result = self
        result.knots = max(knots, 1 + Int((Bounds(points)!.extent.z / 60).rounded()))
        return result
    }
}
