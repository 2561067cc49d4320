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
}

/// Between binary mask slices and polygons, without loss in either direction.
///
/// Rings run half way between the centres of an inside and an outside pixel (the 0.5 level of marching squares). Pixels
/// that touch only at a corner belong to separate rings, so no two rings ever touch. A ring encloses exactly half
/// a pixel less than its pixels, whatever its shape: its convex corners outnumber its concave ones by four, an eighth each.
public enum Contours {
    /// Traces every region of a mask slice; holes follow as rings of their own, ordered by their first point.
    ///
    /// `slice` holds `columns` x `rows` values, column fastest, 0 outside. Every ring starts at its topmost, there
    /// leftmost, point, and has at least four points.
    public static func trace(_ slice: ArraySlice<UInt8>, columns: Int, rows: Int) -> [Contour] {
        precondition(slice.count == columns * rows)
        return slice.withUnsafeBufferPointer { PaddedMask($0, columns: columns, rows: rows)?.rings() ?? [] }
    }

    /// The pixels whose centres lie inside an odd number of the polygons: `columns` x `rows` of 0 or 1.
    ///
    /// A centre on an edge counts as inside when the region lies to its right or, on a level edge, below it; an edge
    /// run through twice (a keyhole's bridge) cancels exactly. Polygons may reach beyond the slice.
    public static func rasterise(_ contours: [Contour], columns: Int, rows: Int) -> [UInt8] {
        var slice = [UInt8](repeating: 0, count: columns * rows)
        for contour in contours {
            guard var a = contour.points.last, contour.points.count > 2 else { continue }
            for b in contour.points {
                flip(&slice, columns: columns, rows: rows, from: a.y < b.y ? a : b, to: a.y < b.y ? b : a)
                a = b
            }
        }
        // Every mark turns all pixels from its column on. Rows without a mark are the rule.
        slice.withUnsafeMutableBufferPointer { slice in
            for j in 0..<rows {
                let row = UnsafeMutableBufferPointer(rebasing: slice[j * columns..<(j + 1) * columns])
                guard row.reduce(0, |) != 0 else { continue }
                var inside: UInt8 = 0
                for i in row.indices {
                    inside ^= row[i]
                    row[i] = inside
                }
            }
        }
        return slice
    }

    /// Marks, in every row that the edge crosses, the first pixel centre at or right of it.
    private static func flip(_ slice: inout [UInt8], columns: Int, rows: Int, from top: SIMD2<Double>, to bottom: SIMD2<Double>) {
        guard top.y < bottom.y, bottom.y > 0, top.y <= Double(rows - 1) else { return }
        let first = Int(max(0, top.y).rounded(.up)), end = Int(min(bottom.y, Double(rows)).rounded(.up))
        guard first < end else { return }
        let slope = (bottom.x - top.x) / (bottom.y - top.y)
        for j in first..<end {
            let column = (top.x + (Double(j) - top.y) * slope).rounded(.up)
            if column < Double(columns) { slice[j * columns + Int(max(0, column))] ^= 1 }
        }
    }
}

/// The smallest rectangle that holds a mask slice's region, with a rim of outside pixels so that neighbours need no bounds check.
private struct PaddedMask {
    let width: Int, height: Int
    /// Slice index of the rectangle's first pixel.
    let origin: SIMD2<Int>
    let inside: [Bool]

    init?(_ slice: UnsafeBufferPointer<UInt8>, columns: Int, rows: Int) {
        var low = SIMD2(columns, rows), high = SIMD2(-1, -1)
        for j in 0..<rows {
            let row = UnsafeBufferPointer(rebasing: slice[j * columns..<(j + 1) * columns])
            guard row.reduce(0, |) != 0 else { continue }
            low = SIMD2(min(low.x, row.firstIndex { $0 != 0 }!), min(low.y, j))
            high = SIMD2(max(high.x, row.lastIndex { $0 != 0 }!), j)
        }
        guard high.x >= 0 else { return nil }
        origin = low &- 1
        width = high.x - low.x + 3
        height = high.y - low.y + 3
        var inside = [Bool](repeating: false, count: width * height)
        for j in low.y...high.y {
            for i in low.x...high.x { inside[(j - origin.y) * width + i - origin.x] = slice[j * columns + i] != 0 }
        }
        self.inside = inside
    }

    func rings() -> [Contour] {
        var outer: [Contour] = [], holes: [Contour] = []
        // Boundary steps already taken, one bit for each side of a pixel.
        var taken = [UInt8](repeating: 0, count: inside.count)
        for pixel in inside.indices where inside[pixel] {
            // In scan order a ring is met first at its topmost point: an outer ring above a pixel, a hole below one.
            if !inside[pixel - width], taken[pixel] & 1 == 0 {
                outer.append(Contour(points: ring(from: pixel, side: 0, taken: &taken)))
            }
            if !inside[pixel + width], taken[pixel] & 4 == 0 {
                holes.append(Contour(points: ring(from: pixel, side: 2, taken: &taken), isHole: true))
            }
        }
        return outer + holes
    }

    /// Walks round one ring with the region on the right hand; side 0 is the pixel's upper one, 1 right, 2 lower, 3 left.
    private func ring(from start: Int, side startSide: Int, taken: inout [UInt8]) -> [SIMD2<Double>] {
        let ahead = [1, width, -1, -width]
        let half: [SIMD2<Double>] = [[0, -0.5], [0.5, 0], [0, 0.5], [-0.5, 0]]
        var points: [SIMD2<Double>] = []
        var pixel = start, side = startSide
        repeat {
            taken[pixel] |= 1 << UInt8(side)
            points.append(SIMD2(Double(pixel % width + origin.x), Double(pixel / width + origin.y)) + half[side])
            let next = pixel + ahead[side], outward = ahead[(side + 3) % 4]
            if !inside[next] {
                side = (side + 1) % 4
            } else if !inside[next + outward] {
                pixel = next
            } else {
                pixel = next + outward
                side = (side + 3) % 4
            }
        } while pixel != start || side != startSide
        return points
    }
}
