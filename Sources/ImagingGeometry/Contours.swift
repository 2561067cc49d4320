/// One closed polygon in an image plane, its first point not repeated.
///
/// Points are continuous (i, j) pixel indices: whole numbers are pixel centres, as Image Position (Patient) has it.
/// On screen (j downwards) an outer ring runs clockwise, a hole anticlockwise, so even-odd and non-zero fill agree.
public struct Contour: Sendable, Hashable {
    public var points: [SIMD2<Double>]
    /// Whether the polygon bounds a hole of the region around it.
    public var isHole: Bool

    public init(points: [SIMD2<Double>], isHole: Bool = false) {
        self.points = points
        self.isHole = isHole
    }

    /// The enclosed area in square pixels, negative where the points run anticlockwise on screen.
    public var signedArea: Double {
        guard var a = points.last else { return 0 }
        var twice = 0.0
        for b in points {
            twice += a.x * b.y - b.x * a.y
            a = b
        }
        return twice / 2
    }

    /// Whether a point lies inside, by even-odd.
    func contains(_ p: SIMD2<Double>) -> Bool {
        guard var a = points.last else { return false }
        var inside = false
        for b in points {
            if (a.y > p.y) != (b.y > p.y), p.x < a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x) { inside.toggle() }
            a = b
        }
        return inside
    }
}

/// Between slices of pixels and polygons.
///
/// Rings separate the centres of inside and outside pixels: half way between them for a mask, at the level of one half (marching
/// squares) for probabilities. Pixels that touch only at a corner belong to separate rings, so no two rings ever touch. A mask's
/// ring encloses exactly half a pixel less than its pixels, whatever its shape: its convex corners outnumber its concave ones by four,
/// an eighth each.
public enum Contours {
    /// Traces every region of a mask slice; holes follow as rings of their own, ordered by their first point.
    ///
    /// `slice` holds `columns` x `rows` values, column fastest, 0 outside and 1 inside. Every ring starts at its topmost, there
    /// leftmost, point, and has at least four points.
    public static func trace(_ slice: ArraySlice<UInt8>, columns: Int, rows: Int) -> [Contour] {
        slice.withUnsafeBufferPointer { ContourPlane(mask: $0, columns: columns, rows: rows)?.rings() ?? [] }
    }

    /// The rings of one region: the outer one, and those of its holes.
    ///
    /// Expects what `trace` or `simplified` returns. A hole belongs to the smallest outer ring around it; one without is dropped, as
    /// nothing is around it to be taken out of.
    public static func regions(_ rings: [Contour]) -> [ContourRegion] {
        var regions = rings.filter { !$0.isHole }.map { ContourRegion(outer: $0) }
        let holes = rings.filter(\.isHole)
        guard !holes.isEmpty else { return regions }
        let areas = regions.map(\.outer.signedArea)
        for hole in holes {
            guard let point = hole.points.first else { continue }
            let around = regions.count == 1 ? 0 : regions.indices.filter { regions[$0].outer.contains(point) }.min { areas[$0] < areas[$1] }
            if let around { regions[around].holes.append(hole) }
        }
        return regions
    }
}

/// A region of a slice by its rings.
public struct ContourRegion: Sendable, Hashable {
    public var outer: Contour
    public var holes: [Contour]

    public init(outer: Contour, holes: [Contour] = []) {
        self.outer = outer
        self.holes = holes
    }

    public var rings: [Contour] { [outer] + holes }
}
