extension Contours {
    /// The pixels whose centres lie inside an odd number of the polygons: `columns` x `rows` of 0 or 1.
    ///
    /// A centre on an edge counts as inside when the region lies to its right or, on a level edge, below it; an edge
    /// run through twice (a keyhole's bridge) cancels exactly. Polygons may reach beyond the slice.
    public static func rasterise(_ contours: [Contour], columns: Int, rows: Int) -> [UInt8] {
        var slice = [UInt8](repeating: 0, count: columns * rows)
        slice.withUnsafeMutableBufferPointer { rasterise(contours, into: $0, columns: columns, rows: rows) }
        return slice
    }

    /// The same into a slice of 0 or 1, whose pixels are turned where they lie inside an odd number.
    public static func rasterise(_ contours: [Contour], into slice: UnsafeMutableBufferPointer<UInt8>, columns: Int, rows: Int) {
        guard let box = PixelBox(contours, columns: columns, rows: rows) else { return }
        let width = box.columns.count
        // Every mark turns all pixels from its column on.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: width * box.rows.count) { marks in
            marks.initialize(repeating: 0)
            for contour in contours {
                guard var a = contour.points.last, contour.points.count > 2 else { continue }
                for b in contour.points {
                    if a.y < b.y { mark(marks, box, from: a, to: b) } else { mark(marks, box, from: b, to: a) }
                    a = b
                }
            }
            var n = 0
            for j in box.rows {
                var inside: UInt8 = 0, at = j * columns + box.columns.lowerBound
                let end = n + width
                while n < end {
                    inside ^= marks[n]
                    slice[at] ^= inside
                    n &+= 1
                    at &+= 1
                }
            }
        }
    }

    /// Marks, in every row that the edge crosses, the first pixel centre at or right of it.
    private static func mark(_ marks: UnsafeMutableBufferPointer<UInt8>, _ box: PixelBox, from top: SIMD2<Double>, to bottom: SIMD2<Double>) {
        let firstRow = Double(box.rows.lowerBound), endRow = Double(box.rows.upperBound)
        guard top.y < bottom.y, bottom.y > firstRow, top.y <= endRow - 1 else { return }
        let first = Int(max(firstRow, top.y).rounded(.up)), end = Int(min(bottom.y, endRow).rounded(.up))
        let slope = (bottom.x - top.x) / (bottom.y - top.y), width = box.columns.count
        var j = first
        while j < end {
            let column = (top.x + (Double(j) - top.y) * slope).rounded(.up)
            if column < Double(box.columns.upperBound) {
                marks[(j &- box.rows.lowerBound) &* width &+ Int(max(Double(box.columns.lowerBound), column)) &- box.columns.lowerBound] ^= 1
            }
            j &+= 1
        }
    }
}

/// The pixels of a slice that polygons can reach.
struct PixelBox {
    let columns, rows: Range<Int>

    /// Nil where they reach none, or where a number is none.
    init?(_ contours: [Contour], columns: Int, rows: Int) {
        var low = SIMD2(Double.infinity, .infinity), high = -low
        for contour in contours {
            for point in contour.points {
                guard point.x.isFinite, point.y.isFinite else { return nil }
                low = pointwiseMin(low, point)
                high = pointwiseMax(high, point)
            }
        }
        // Bounded before they become whole numbers.
        func range(_ low: Double, _ high: Double, _ count: Int) -> Range<Int>? {
            guard low < Double(count), high >= 0 else { return nil }
            let first = Int(max(0, low).rounded(.up)), end = Int(min(Double(count - 1), high).rounded(.down)) + 1
            return first < end ? first..<end : nil
        }
        guard low.x.isFinite, let reachedColumns = range(low.x, high.x, columns), let reachedRows = range(low.y, high.y, rows) else { return nil }
        (self.columns, self.rows) = (reachedColumns, reachedRows)
    }
}

// MARK: - Contours that tell holes by lying within others

extension Contours {
    /// A polygon counts as lying within others from this share of its pixels on: drawn by hand, a hole may poke out of its rim by a few.
    static let nestedShare = 0.95

    /// Adds polygons to a slice of 0 or 1, the larger first: one that lies within what is inside already is taken out, any other joined.
    ///
    /// So a hole is a hole, an island in it is there again, and two that overlap in part are both there. One told twice counts once.
    public static func rasterise(nested contours: [Contour], into slice: UnsafeMutableBufferPointer<UInt8>, columns: Int, rows: Int) {
        guard contours.count > 1 else { return rasterise(contours, into: slice, columns: columns, rows: rows) }
        var seen: Set<Contour> = []
        for contour in contours.sorted(by: { $0.signedArea.magnitude > $1.signedArea.magnitude }) where seen.insert(contour).inserted {
            guard let box = PixelBox([contour], columns: columns, rows: rows) else { continue }
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: box.columns.count * box.rows.count) { own in
                own.initialize(repeating: 0)
                let origin = SIMD2(Double(box.columns.lowerBound), Double(box.rows.lowerBound))
                rasterise([Contour(points: contour.points.map { $0 - origin })], into: own, columns: box.columns.count, rows: box.rows.count)
                func forEachPixel(_ body: (_ own: Int, _ slice: Int) -> Void) {
                    for j in box.rows {
                        let from = (j - box.rows.lowerBound) * box.columns.count
                        for i in 0..<box.columns.count where own[from + i] != 0 { body(from + i, j * columns + box.columns.lowerBound + i) }
                    }
                }
                var count = 0, covered = 0
                forEachPixel { count += 1; covered += Int(slice[$1]) }
                let value: UInt8 = count > 0 && Double(covered) >= nestedShare * Double(count) ? 0 : 1
                forEachPixel { slice[$1] = value }
            }
        }
    }
}
