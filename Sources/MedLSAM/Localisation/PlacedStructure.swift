import ImagingGeometry

/// One support's opinion: for each structure that it has, where its points (see `ExtremePoints`) lie in the query, LPS mm.
typealias Opinion = [String: [SIMD3<Double>]]

/// Where a structure was found.
struct PlacedStructure: Sendable {
    /// Its extreme points (see `ExtremePoints`), LPS mm, as the supports agree on them.
    let points: [SIMD3<Double>]
    /// Box of the whole structure.
    let bounds: Bounds
    /// Mean similarity of its points' matches, -1 to 1; nil where the localiser matches nothing.
    let similarity: Double?
    /// Each support's shape, and the map from the query's space to the support's.
    let shapes: [(field: DistanceField, toSupport: Warp)]

    /// `bounds` is around all points unless it is given.
    init(points: [SIMD3<Double>], bounds: Bounds? = nil, similarity: Double?, shapes: [(field: DistanceField, toSupport: Warp)]) {
        self.points = points
        self.bounds = bounds ?? Bounds(points)!
        self.similarity = similarity
        self.shapes = shapes
    }

    /// How far inside the structure a position lies by the mean of the supports' shapes, mm.
    func distance(at positionLPS: SIMD3<Double>) -> Double {
        shapes.reduce(0) { $0 + $1.field.distance(at: $1.toSupport(positionLPS)) } / Double(shapes.count)
    }
}

extension PlacedStructure {
    /// Supports that lie this far from the median opinion count half, mm.
    private static let consensusMM = 8.0

    /// Each structure where an opinion a support agree on it, with the supports' shapes.
    static func agreed(_ opinions: [Opinion], _ templates: TemplateSet, similarity: [String: Double]? = nil) -> [String: PlacedStructure] {
        var placed: [String: PlacedStructure] = [:]
        for definition in templates.structures {
            let voters = opinions.compactMap { $0[definition.name] }
            guard !voters.isEmpty else { continue }
            placed[definition.name] = PlacedStructure(points: consensus(voters), similarity: similarity.map { $0[definition.name] ?? 0 }, of: definition.name, templates)
        }
        return placed
    }

    /// A structure at points that were found, with each support's shape bound to them.
    init(points: [SIMD3<Double>], bounds: Bounds? = nil, similarity: Double?, of name: String, _ templates: TemplateSet) {
        let follow = Warp.Stiffness(knots: 2, bending: 0.01, moving: 0, scaling: 10, outlierMM: 20).along(points)
        self.init(points: points, bounds: bounds, similarity: similarity, shapes: templates.supports.compactMap { $0[name] }.map { structure in
            (structure.shape, Warp(from: points, to: structure.points, weights: points.map { _ in 1 }, stiffness: follow))
        })
    }

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
}

extension Warp.Stiffness {
    /// A structure's warp has a knot for each such length along z.
    private static let knotDistanceMM = 60.0

    /// The same with as many knots as the points' extent along z calls for.
    func along(_ points: [SIMD3<Double>]) -> Warp.Stiffness {
        var result = self
        result.knots = max(knots, 1 + Int((Bounds(points)!.extent.z / Self.knotDistanceMM).rounded()))
        return result
    }
}
