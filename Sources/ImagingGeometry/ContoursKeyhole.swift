extension Contours {
    /// Joins every hole to the ring around it by a bridge of no width, so that no polygon is left inside another.
    ///
    /// Expects what `trace` or `simplified` returns.
    public static func keyholed(_ contours: [Contour]) -> [Contour] { regions(contours).map(keyholed) }

    /// One polygon of a region: every hole is joined by a bridge that leaves its topmost point to the left and ends at the first ring
    /// met: the outer one, or a hole joined before (its topmost point lies higher, or as high and further left).
    ///
    /// No bridge crosses a ring or another bridge. On a traced mask it runs between two rows of pixel centres, and so passes through none;
    /// all centres beside a bridge are inside.
    public static func keyholed(_ region: ContourRegion) -> Contour {
        var points = region.outer.points
        let holes = region.holes.map { fromTopmost($0.points) }.sorted { ($0[0].y, $0[0].x) < ($1[0].y, $1[0].x) }
        for hole in holes {
            guard let hit = hit(points, leftOf: hole[0]) else { continue }
            points.insert(contentsOf: [hit.point] + hole + [hole[0], hit.point], at: hit.edge + 1)
            removeRepeats(&points, at: hit.edge, and: hit.edge + hole.count + 3)
        }
        return Contour(points: points)
    }

    /// The same ring from its topmost, there leftmost, point.
    private static func fromTopmost(_ ring: [SIMD2<Double>]) -> [SIMD2<Double>] {
        let first = ring.indices.min { (ring[$0].y, ring[$0].x) < (ring[$1].y, ring[$1].x) }!
        return Array(ring[first...] + ring[..<first])
    }

    private struct Hit {
        /// The edge from this point to the next.
        var edge: Int
        var point: SIMD2<Double>
    }

    /// The nearest edge to the left of a point, on its level; edges that only touch the level count.
    private static func hit(_ points: [SIMD2<Double>], leftOf start: SIMD2<Double>) -> Hit? {
        var nearest: Hit?
        for edge in points.indices {
            let a = points[edge], b = points[edge + 1 == points.count ? 0 : edge + 1]
            guard min(a.y, b.y) <= start.y, max(a.y, b.y) >= start.y else { continue }
            let x: Double
            if a.y == b.y { x = max(a.x, b.x) < start.x ? max(a.x, b.x) : min(a.x, b.x) }
            else if a.y == start.y { x = a.x }
            else if b.y == start.y { x = b.x }
            else { x = a.x + (start.y - a.y) / (b.y - a.y) * (b.x - a.x) }
            if x < start.x, x > nearest?.point.x ?? -.infinity { nearest = Hit(edge: edge, point: [x, start.y]) }
        }
        return nearest
    }

    /// Where a bridge meets a corner of the ring, the corner would stand twice in a row.
    private static func removeRepeats(_ points: inout [SIMD2<Double>], at first: Int, and second: Int) {
        if points[second] == points[(second + 1) % points.count] { points.remove(at: second) }
        if points[first] == points[first + 1] { points.remove(at: first + 1) }
    }
}
