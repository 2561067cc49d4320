extension Contours {
    /// Joins every hole to the ring around it by a bridge of no width, so that no polygon is left inside another.
    ///
    /// Expects what `trace` or `simplified` returns. The bridge leaves the hole's topmost point to the left and ends at the first
    /// ring met: the outer one, or a hole joined before (its topmost point lies higher, or as high and further left).
    /// On a traced ring the bridge runs between two rows of pixel centres, and so passes through none.
    public static func keyholed(_ contours: [Contour]) -> [Contour] {
        var polygons = contours.filter { !$0.isHole }
        for hole in contours where hole.isHole {
            guard let start = hole.points.first else { continue }
            var nearest: Hit?
            for (number, polygon) in polygons.enumerated() {
                if let hit = Self.hit(polygon.points, polygon: number, leftOf: start), hit.point.x > nearest?.point.x ?? -.infinity { nearest = hit }
            }
            // A hole with nothing around it can only come from a caller's own polygons: it stays as it is.
            guard let hit = nearest else { polygons.append(hole); continue }
            polygons[hit.polygon].points.insert(contentsOf: [hit.point] + hole.points + [start, hit.point], at: hit.edge + 1)
            removeRepeats(&polygons[hit.polygon].points, at: hit.edge, and: hit.edge + hole.points.count + 3)
        }
        return polygons
    }

    private struct Hit {
        var polygon: Int
        /// The edge from this point to the next.
        var edge: Int
        var point: SIMD2<Double>
    }

    /// The nearest edge to the left of a point, on its level; edges that only touch the level count.
    private static func hit(_ points: [SIMD2<Double>], polygon: Int, leftOf start: SIMD2<Double>) -> Hit? {
        var nearest: Hit?
        for edge in points.indices {
            let a = points[edge], b = points[(edge + 1) % points.count]
            guard min(a.y, b.y) <= start.y, max(a.y, b.y) >= start.y else { continue }
            let x: Double
            if a.y == b.y { x = max(a.x, b.x) < start.x ? max(a.x, b.x) : min(a.x, b.x) }
            else if a.y == start.y { x = a.x }
            else if b.y == start.y { x = b.x }
            else { x = a.x + (start.y - a.y) / (b.y - a.y) * (b.x - a.x) }
            if x < start.x, x > nearest?.point.x ?? -.infinity { nearest = Hit(polygon: polygon, edge: edge, point: [x, start.y]) }
        }
        return nearest
    }

    /// Where a bridge meets a corner of the ring, the corner would stand twice in a row.
    private static func removeRepeats(_ points: inout [SIMD2<Double>], at first: Int, and second: Int) {
        if points[second] == points[(second + 1) % points.count] { points.remove(at: second) }
        if points[first] == points[first + 1] { points.remove(at: first + 1) }
    }
}
