import ImagingGeometry

/// A contour as Contour Data tells it: patient coordinates with fixed decimals.
struct ContourText {
    /// Number of Contour Points.
    let points: Int
    /// Contour Data, a DS of three values a point.
    let bytes: [UInt8]

    /// Of a contour on a slice; nil where rounding leaves less than three points.
    ///
    /// Points that rounding makes equal to their forerunner are told once. With three decimals at most a value stays under the 16
    /// characters of a DS (PS3.5 6.2) within a hundred thousand kilometres.
    init?(_ contour: Contour, slice: Int, grid: SourceGrid, decimals: Int) {
        var scale = 1
        for _ in 0..<decimals { scale *= 10 }
        var points = contour.points.map { point -> SIMD3<Int> in
            let rounded = (grid.pixelToPatient(point, slice: slice) * Double(scale)).rounded(.toNearestOrAwayFromZero)
            return SIMD3(Int(rounded.x), Int(rounded.y), Int(rounded.z))
        }
        var last = points.last
        points.removeAll { point in
            defer { last = point }
            return point == last
        }
        guard points.count >= 3 else { return nil }
        self.points = points.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(points.count * 30)
        for point in points {
            for axis in 0..<3 { Self.append(point[axis], scale, to: &bytes) }
        }
        bytes.removeLast()
        self.bytes = bytes
    }

    /// `-12.345\`: what a format string would give, but without its locale and at a tenth of its cost.
    private static func append(_ value: Int, _ scale: Int, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let magnitude = value.magnitude, scale = UInt(scale)
        var power = scale
        while magnitude / power >= 10 { power *= 10 }
        while power > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: magnitude / power % 10))
            if power == scale, scale > 1 { bytes.append(UInt8(ascii: ".")) }
            power /= 10
        }
        bytes.append(UInt8(ascii: "\\"))
    }
}
