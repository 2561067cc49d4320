/// What contours are traced on: the values of a slice in the smallest rectangle around its inside, with a rim of one pixel.
///
/// Inside is what is at least `ProbabilityMap.inside`; a mask's pixels are 0 and 255.
public struct ContourPlane: Sendable {
    /// Size of the rectangle with its rim.
    public let width, height: Int
    /// Slice index (column, row) of the rectangle's first pixel.
    public let origin: SIMD2<Int>
    /// Column fastest. Pixels of the outermost rows and columns are outside.
    private(set) var values: [UInt8]

    /// The values of a mask slice, 0 or 1; nil where nothing is inside.
    public init?(mask: UnsafeBufferPointer<UInt8>, columns: Int, rows: Int) { self.init(mask, columns: columns, rows: rows) { mask[$0] &* 255 } }

    /// The probabilities of a slice, on the mask's side of one half at every pixel; nil where nothing is inside the mask.
    public init?(mask: UnsafeBufferPointer<UInt8>, probabilities: UnsafeBufferPointer<UInt8>, columns: Int, rows: Int) {
        precondition(probabilities.count == mask.count)
        self.init(mask, columns: columns, rows: rows) {
            mask[$0] == 0 ? min(probabilities[$0], ProbabilityMap.inside - 1) : max(probabilities[$0], ProbabilityMap.inside)
        }
    }

    private init?(_ mask: UnsafeBufferPointer<UInt8>, columns: Int, rows: Int, _ value: (Int) -> UInt8) {
        precondition(mask.count == columns * rows)
        var low = SIMD2(columns, rows), high = SIMD2(-1, -1)
        for j in 0..<rows {
            let row = UnsafeBufferPointer(rebasing: mask[j * columns..<(j + 1) * columns])
            guard row.reduce(0, |) != 0 else { continue }
            low = SIMD2(min(low.x, row.firstIndex { $0 != 0 }!), min(low.y, j))
            high = SIMD2(max(high.x, row.lastIndex { $0 != 0 }!), j)
        }
        guard high.x >= 0 else { return nil }
        (origin, width, height) = (low &- 1, high.x - low.x + 3, high.y - low.y + 3)
        var values = [UInt8](repeating: 0, count: width * height)
        for j in max(0, origin.y)...min(rows - 1, high.y + 1) {
            for i in max(0, origin.x)...min(columns - 1, high.x + 1) { values[(j - origin.y) * width + i - origin.x] = value(j * columns + i) }
        }
        self.values = values
    }

    /// Every ring between inside and outside pixels: the outer ones, then the holes, each in the order of their topmost pixels.
    public func rings() -> [Contour] {
        values.withUnsafeBufferPointer { values in
            var outer: [Contour] = [], holes: [Contour] = []
            // Boundary steps already taken, one bit for each side of a pixel.
            var taken = [UInt8](repeating: 0, count: values.count)
            taken.withUnsafeMutableBufferPointer { taken in
                for pixel in values.indices where Self.isInside(values[pixel]) {
                    // In scan order a ring is met first at its topmost pixel: an outer ring above it, a hole below it.
                    if !Self.isInside(values[pixel - width]), taken[pixel] & 1 == 0 {
                        outer.append(Contour(points: ring(values, from: pixel, side: 0, taken)))
                    }
                    if !Self.isInside(values[pixel + width]), taken[pixel] & 4 == 0 {
                        holes.append(Contour(points: ring(values, from: pixel, side: 2, taken), isHole: true))
                    }
                }
            }
            return outer + holes
        }
    }

    @inline(__always) private static func isInside(_ value: UInt8) -> Bool { value >= ProbabilityMap.inside }

    /// No ring passes a pixel's centre at less than this share of a pixel: a crowd of points in one place would be no polygon once it is rounded.
    static let leastShare = 0.05

    /// Walks round one ring with the region on the right hand; side 0 is the pixel's upper one, 1 right, 2 lower, 3 left.
    private func ring(_ values: UnsafeBufferPointer<UInt8>, from start: Int, side startSide: Int, _ taken: UnsafeMutableBufferPointer<UInt8>) -> [SIMD2<Double>] {
        let steps = (0..<4).map { [-width, 1, width, -1][$0] }
        let directions: [SIMD2<Double>] = [[0, -1], [1, 0], [0, 1], [-1, 0]]
        let level = Double(ProbabilityMap.inside) - 0.5
        var points: [SIMD2<Double>] = []
        var pixel = start, side = startSide
        repeat {
            taken[pixel] |= 1 << UInt8(side)
            let inside = Double(values[pixel]), outside = Double(values[pixel &+ steps[side]])
            let share = min(max((inside - level) / (inside - outside), Self.leastShare), 1 - Self.leastShare)
            points.append(SIMD2(Double(pixel % width &+ origin.x), Double(pixel / width &+ origin.y)) + share * directions[side])
            let ahead = steps[(side &+ 1) & 3], next = pixel &+ ahead, outward = steps[side]
            if !Self.isInside(values[next]) {
                side = (side &+ 1) & 3
            } else if !Self.isInside(values[next &+ outward]) {
                pixel = next
            } else {
                pixel = next &+ outward
                side = (side &+ 3) & 3
            }
        } while pixel != start || side != startSide
        return points
    }
}

// MARK: - Regions

extension ContourPlane {
    /// The offset of an inside pixel that a traced ring passes: the one to the right of its first point, or below or above it.
    private func insidePixel(at point: SIMD2<Double>) -> Int {
        // A point lies between two neighbouring pixels on one row or column; one of the two is inside.
        let low = SIMD2(Int(point.x.rounded(.down)), Int(point.y.rounded(.down))) &- origin, high = SIMD2(Int(point.x.rounded(.up)), Int(point.y.rounded(.up))) &- origin
        let first = low.y * width + low.x
        return Self.isInside(values[first]) ? first : high.y * width + high.x
    }

    /// The offsets of the pixels that faces join to one.
    private func region(around seed: Int) -> [Int] {
        var left = [Bool](repeating: true, count: values.count)
        var found = [seed], next = 0
        left[seed] = false
        while next < found.count {
            for step in [1, -1, width, -width] {
                let pixel = found[next] + step
                if left[pixel], Self.isInside(values[pixel]) {
                    left[pixel] = false
                    found.append(pixel)
                }
            }
            next += 1
        }
        return found
    }

    /// Takes the region out that lies along a traced ring.
    public mutating func remove(regionAlong ring: Contour) {
        for pixel in region(around: insidePixel(at: ring.points[0])) { values[pixel] = 0 }
    }

    /// Fills every hole: what is outside and that no path of neighbours, corners included, joins to the rim.
    public mutating func fillHoles() {
        var open = [Bool](repeating: false, count: values.count)
        var found = [0], next = 0
        open[0] = true
        while next < found.count {
            let (x, y) = (found[next] % width, found[next] / width)
            for j in max(0, y - 1)...min(height - 1, y + 1) {
                for i in max(0, x - 1)...min(width - 1, x + 1) {
                    let pixel = j * width + i
                    if !open[pixel], !Self.isInside(values[pixel]) {
                        open[pixel] = true
                        found.append(pixel)
                    }
                }
            }
            next += 1
        }
        for n in values.indices where !open[n] && !Self.isInside(values[n]) { values[n] = 255 }
    }

    /// The region along a traced ring alone, cut in two half way between two columns or rows of pixels, along the shorter side.
    ///
    /// Rings of the two halves run on the very line of the cut, which is given in pixels of the slice.
    public func halves(ofRegionAlong ring: Contour) -> (halves: [ContourPlane], cut: ContourCut)? {
        let pixels = region(around: insidePixel(at: ring.points[0]))
        let columns = pixels.map { $0 % width }, rows = pixels.map { $0 / width }
        let (low, high) = (SIMD2(columns.min()!, rows.min()!), SIMD2(columns.max()!, rows.max()!))
        let axis = high.x - low.x >= high.y - low.y ? 0 : 1
        guard high[axis] > low[axis] else { return nil }
        let last = (low[axis] + high[axis]) / 2
        let members = Set(pixels), step = axis == 0 ? 1 : width
        func half(_ isPart: (Int) -> Bool, towards outward: Int) -> ContourPlane {
            var half = self
            for n in half.values.indices where Self.isInside(values[n]) && !members.contains(n) { half.values[n] = 0 }
            let along = { (n: Int) in axis == 0 ? n % width : n / width }
            for n in half.values.indices where !isPart(along(n)) { half.values[n] = 0 }
            // As far below one half as the last pixel is above it: the level lies in the middle between them.
            for n in pixels where isPart(along(n)) && !isPart(along(n + outward)) { half.values[n + outward] = 255 - values[n] }
            return half
        }
        return ([half({ $0 <= last }, towards: step), half({ $0 > last }, towards: -step)],
                ContourCut(axis: axis, place: Double(last + origin[axis]) + 0.5))
    }
}

/// A straight cut through a slice: column or row (`axis` 0 or 1) `place`, in pixels.
public struct ContourCut: Sendable, Hashable {
    let axis: Int
    let place: Double
    /// Whether a point lies on it, exactly.
    public func holds(_ point: SIMD2<Double>) -> Bool { point[axis] == place }
}
