import ImagingGeometry

/// Where the pixels of given planes lie on the slices of a scan: pixel for pixel, or not.
struct Placement {
    let grid: SourceGrid
    private let planes: PixelPlanes
    private let places: [Result<Place, Refusal>]
    /// Why the block as a whole does not lie on the slices.
    private let fault: Refusal?

    /// How far a pixel may lie from its place on the scan, as a share of a pixel and of a slice's thickness: what 32-bit floats and
    /// positions with one decimal leave; half a pixel's shift, which some toolkits make, is far beyond.
    static let tolerance = 0.1

    /// A plane's slice, and which pixel its column and row are there.
    private struct Place {
        let slice: Int
        let origin, columnStep, rowStep: SIMD2<Int>
    }

    /// `isBlock`: between the first slice and the last that the planes lie on, each must have its plane.
    init(_ planes: PixelPlanes, on grid: SourceGrid, isBlock: Bool) {
        (self.grid, self.planes) = (grid, planes)
        let heights = grid.originsLPS.map(grid.heightMM), thicknesses = grid.thicknessesMM
        places = planes.planes.indices.map { plane in
            do throws(Refusal) { return .success(try Self.place(plane, of: planes, on: grid, heights, thicknesses)) } catch { return .failure(error) }
        }
        let slices = places.compactMap { try? $0.get().slice }.sorted()
        let isWhole = slices.isEmpty || (Set(slices).count == slices.count && slices.last! - slices[0] == slices.count - 1)
        fault = isBlock && !isWhole ? Refusal(.otherGrid, "its planes lie on some of the CT's slices only (\(slices.count) of "
            + "\(slices.last! - slices[0] + 1)), so that its spacing is another") : nil
    }

    /// Puts a plane's pixels where they belong; of two values for one voxel the larger stays.
    func put(_ pixels: [UInt8], plane: Int, into voxels: inout [UInt8]) throws(Refusal) {
        if let fault { throw fault }
        let place = try places[plane].get()
        var beyond = 0
        let base = place.slice * grid.columns * grid.rows, columns = grid.columns, rows = grid.rows
        pixels.withUnsafeBufferPointer { pixels in
            voxels.withUnsafeMutableBufferPointer { voxels in
                for row in 0..<planes.rows {
                    var at = place.origin &+ place.rowStep &* row
                    var n = row * planes.columns
                    let end = n + planes.columns
                    while n < end {
                        if pixels[n] != 0 {
                            if at.x >= 0, at.y >= 0, at.x < columns, at.y < rows {
                                let voxel = base &+ at.y &* columns &+ at.x
                                voxels[voxel] = max(voxels[voxel], pixels[n])
                            } else { beyond &+= 1 }
                        }
                        at = at &+ place.columnStep
                        n &+= 1
                    }
                }
            }
        }
        guard beyond == 0 else { throw Refusal(.otherGrid, "it holds \(beyond) pixels in a plane that lie beyond the CT's rows and columns") }
    }

    private static func place(_ plane: Int, of planes: PixelPlanes, on grid: SourceGrid, _ heights: [Double], _ thicknesses: [Double]) throws(Refusal) -> Place {
        let corners = planes.corners(plane), cornerHeights = corners.map { grid.heightMM($0.positionLPS) }
        let height = cornerHeights.reduce(0, +) / 4
        let slice = heights.indices.min { (heights[$0] - height).magnitude < (heights[$1] - height).magnitude }!
        let off = cornerHeights.map { ($0 - heights[slice]).magnitude }.max()!
        guard off <= tolerance * thicknesses[slice] else {
            let leans = cornerHeights.max()! - cornerHeights.min()! > tolerance * thicknesses[slice]
            throw Refusal(.otherGrid, leans ? "its planes are not parallel to the CT's slices"
                : "a plane lies \(SliceStack.millimetres(off)) mm from the nearest slice of the CT")
        }
        func pixel(_ position: SIMD3<Double>) -> SIMD2<Double> { grid.patientToPixel(position, slice: slice) }
        let p = planes.planes[plane], origin = pixel(p.originLPS)
        let steps = [p.columnStep, p.rowStep].map { pixel(p.originLPS + $0) - origin }
        let (column, row) = (whole(steps[0]), whole(steps[1])), start = whole(origin)
        guard abs(column.x) + abs(column.y) == 1, abs(row.x) + abs(row.y) == 1, column.x * row.x + column.y * row.y == 0 else {
            throw Refusal(.otherGrid, "its pixels are not the CT's in size or direction")
        }
        for corner in corners {
            let expected = start &+ column &* corner.pixel.x &+ row &* corner.pixel.y, found = pixel(corner.positionLPS)
            let apart = found - SIMD2<Double>(expected)
            guard max(apart.max(), -apart.min()) <= tolerance else {
                throw Refusal(.otherGrid, "its pixels lie up to \(SliceStack.millimetres(max(apart.max(), -apart.min()))) pixels from the CT's")
            }
        }
        return Place(slice: slice, origin: start, columnStep: column, rowStep: row)
    }

    /// Nearest whole numbers; bounded, as the numbers come from a file.
    private static func whole(_ value: SIMD2<Double>) -> SIMD2<Int> {
        let bounded = value.rounded(.toNearestOrAwayFromZero).clamped(lowerBound: SIMD2(repeating: -1e9), upperBound: SIMD2(repeating: 1e9))
        return SIMD2(Int(bounded.x), Int(bounded.y))
    }
}

/// Given planes as evenly stacked slices, those that were left out among them: what resampling starts from.
struct Lattice {
    /// With a slice beyond the first and the last plane, which holds nothing.
    let grid: SourceGrid
    private let slices: [Int]

    func slice(ofPlane plane: Int) -> Int { slices[plane] }

    /// Throws `otherGrid` where the planes are not parallel, their columns and rows at no right angle, or their distances no multiples of one.
    init(_ planes: PixelPlanes, isBlock: Bool) throws(Refusal) {
        guard let first = planes.planes.first else { throw Refusal(.otherGrid, "it has no plane") }
        let spacing = SIMD2(length(first.columnStep), length(first.rowStep))
        let a = first.columnStep / spacing.x, skew = first.rowStep / spacing.y - a * (a * first.rowStep / spacing.y).sum(), b = skew / length(skew)
        guard length(skew) > 0.999 else { throw Refusal(.otherGrid, "its columns and rows are not at right angles, so that it cannot be resampled") }
        let normal = SliceStack.cross(a, b)
        guard planes.planes.allSatisfy({ length($0.columnStep - first.columnStep) < 1e-3 && length($0.rowStep - first.rowStep) < 1e-3 }) else {
            throw Refusal(.otherGrid, "its planes are not parallel, so that it cannot be resampled")
        }
        let heights = planes.planes.map { (($0.originLPS - first.originLPS) * normal).sum() }
        let lowest = heights.indices.min { heights[$0] < heights[$1] }!, highest = heights.indices.max { heights[$0] < heights[$1] }!
        let sorted = heights.sorted()
        guard let step = zip(sorted.dropFirst(), sorted).map({ $0 - $1 }).filter({ $0 > 1e-3 }).min() else {
            throw Refusal(.otherGrid, "it has one plane, so that it cannot be resampled")
        }
        let intervals = ((heights[highest] - heights[lowest]) / step).rounded()
        // More planes than any scan has.
        guard intervals < 1e5 else { throw Refusal(.otherGrid, "its planes lie too far apart to be resampled") }
        let even = (heights[highest] - heights[lowest]) / intervals
        let rise = (planes.planes[highest].originLPS - planes.planes[lowest].originLPS) / intervals
        slices = heights.map { Int((($0 - heights[lowest]) / even).rounded()) + 1 }
        for (plane, slice) in zip(planes.planes, slices) {
            let expected = planes.planes[lowest].originLPS + Double(slice - 1) * rise
            guard length(plane.originLPS - expected) <= Placement.tolerance * min(spacing.min(), even) else {
                throw Refusal(.otherGrid, "its planes are not evenly spaced, so that it cannot be resampled")
            }
        }
        let origins = (-1...Int(intervals) + 1).map { planes.planes[lowest].originLPS + Double($0) * rise }
        guard let grid = SourceGrid(columns: planes.columns, rows: planes.rows, pixelSpacingMM: spacing, columnIndexDirection: a, rowIndexDirection: b, originsLPS: origins),
              max(grid.count, grid.working.count) <= NIfTIMasks.maximumVoxels else {
            throw Refusal(.otherGrid, "its planes are shifted against each other beyond reason")
        }
        self.grid = grid
    }
}
