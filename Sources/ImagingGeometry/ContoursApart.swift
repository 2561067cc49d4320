extension Contours {
    /// Whether rings are what tracing makes: none crosses or touches itself or another, outer rings run clockwise on screen and holes
    /// anticlockwise, an outer ring lies in no other or within a hole, and a hole within an outer ring.
    public static func areApart(_ rings: [Contour]) -> Bool {
        rings.allSatisfy { $0.points.count >= 3 && ($0.isHole ? $0.signedArea < 0 : $0.signedArea > 0) } && !anyTouch(rings) && areNested(rings)
    }

    private static func areNested(_ rings: [Contour]) -> Bool {
        guard rings.count > 1 else { return rings.first?.isHole != true }
        let boxes = rings.map { ring in (low: ring.points.reduce(ring.points[0], pointwiseMin), high: ring.points.reduce(ring.points[0], pointwiseMax)) }
        return rings.indices.allSatisfy { n in
            let point = rings[n].points[0]
            let around = rings.indices.filter { $0 != n && all(boxes[$0].low .<= point) && all(point .<= boxes[$0].high) && rings[$0].contains(point) }
            return around.count % 2 == (rings[n].isHole ? 1 : 0)
        }
    }

    private struct Edge {
        var a, b: SIMD2<Double>
        var ring, number, count: Int
        var low, high: SIMD2<Double>
    }

    /// Compares each edge with those that begin before it ends, from top to bottom.
    private static func anyTouch(_ rings: [Contour]) -> Bool {
        var edges: [Edge] = []
        edges.reserveCapacity(rings.reduce(0) { $0 + $1.points.count })
        for (ring, contour) in rings.enumerated() {
            for n in contour.points.indices {
                let a = contour.points[n], b = contour.points[n + 1 == contour.points.count ? 0 : n + 1]
                edges.append(Edge(a: a, b: b, ring: ring, number: n, count: contour.points.count, low: pointwiseMin(a, b), high: pointwiseMax(a, b)))
            }
        }
        edges.sort { $0.low.y < $1.low.y }
        return edges.withUnsafeBufferPointer { edges in
            for i in edges.indices {
                var j = i + 1
                while j < edges.count, edges[j].low.y <= edges[i].high.y {
                    if edges[j].low.x <= edges[i].high.x, edges[i].low.x <= edges[j].high.x, touch(edges[i], edges[j]) { return true }
                    j &+= 1
                }
            }
            return false
        }
    }

    private static func touch(_ e: Edge, _ f: Edge) -> Bool {
        if e.ring == f.ring {
            // Neighbours share a point; they must not fold back onto each other.
            if (e.number + 1) % e.count == f.number { return foldsBack(e.a, e.b, f.b) }
            if (f.number + 1) % f.count == e.number { return foldsBack(f.a, f.b, e.b) }
        }
        let sides = (side(e.a, e.b, f.a), side(e.a, e.b, f.b)), others = (side(f.a, f.b, e.a), side(f.a, f.b, e.b))
        return sides.0 * sides.1 <= 0 && others.0 * others.1 <= 0
    }

    private static func foldsBack(_ a: SIMD2<Double>, _ b: SIMD2<Double>, _ c: SIMD2<Double>) -> Bool {
        side(a, b, c) == 0 && ((b - a) * (c - b)).sum() <= 0
    }

    /// Above 0 where `p` lies to the right of the way from `a` to `b` on screen, below 0 to the left.
    private static func side(_ a: SIMD2<Double>, _ b: SIMD2<Double>, _ p: SIMD2<Double>) -> Double {
        (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)
    }
}
