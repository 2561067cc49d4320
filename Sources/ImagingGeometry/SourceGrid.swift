import Dispatch

/// The slices of a scan as they lie in patient space: parallel, of one pixel grid, at any distances and shifted against each
/// other at will, as a tilted gantry or a planned change of spacing leaves them.
///
/// A regular working grid stands for them where a `Volume` is asked for. What comes from the scan is carried onto it with the
/// slices' true positions, and masks made on it come back onto the slices: one map in both directions. On an even, upright stack
/// the two grids are one, and nothing is changed on the way.
public struct SourceGrid: Sendable, Hashable {
    /// Size of every slice, in pixels.
    public let columns, rows: Int
    /// Distance between neighbouring columns, then between neighbouring rows, in millimetres.
    public let pixelSpacingMM: SIMD2<Double>
    /// Unit directions of increasing column and row index.
    public let columnIndexDirection, rowIndexDirection: SIMD3<Double>
    /// Patient position (LPS, mm) of the centre of each slice's first pixel, in the order of the slices along their normal.
    public let originsLPS: [SIMD3<Double>]
    /// The regular grid that volumes and their masks lie on: the slices' own directions and pixel spacing, over all of them.
    public let working: VolumeGeometry
    /// Whether slice k of the working grid is slice k of the source, pixel for pixel.
    public let isRegular: Bool

    /// How far a slice of a regular stack may lie from its place on the regular grid, along the normal, in millimetres.
    ///
    /// Devices write positions with as little as one decimal: the slice's own rounding and that of the ends which define
    /// the grid are 0.05 mm each. A missing slice, or a change of the spacing by 1 % within a stack, is beyond it.
    public static let positionToleranceMM = 0.1
    /// How far a regular stack may lean away from its normal over its whole height, in pixels: what half a pixel's shift does
    /// to a contour no one can see. On 300 mm it is a tenth of a degree; gantries tilt by whole degrees.
    public static let leanTolerancePixels = 0.5
    /// The working grid of uneven slices is as fine as the finest tenth of their distances: one narrow joint between two
    /// blocks of slices does not multiply the voxels.
    static let finestShare = 0.1

    /// Describes slices; nil where there are fewer than two, where they are not sorted along the normal, or where the numbers are none
    /// of a scan (not finite, no positive spacing, directions that are no right-angled unit vectors to 1e-6).
    public init?(columns: Int, rows: Int, pixelSpacingMM: SIMD2<Double>, columnIndexDirection a: SIMD3<Double>, rowIndexDirection b: SIMD3<Double>,
                 originsLPS: [SIMD3<Double>]) {
        guard columns > 0, rows > 0, originsLPS.count > 1, pixelSpacingMM.min() > 0, pixelSpacingMM.max().isFinite else { return nil }
        let unit = VolumeGeometry(size: .one, spacingMM: .one, originLPS: .zero, columnIndexDirection: a, rowIndexDirection: b)
        let planes = Planes(originsLPS, unit, pixelSpacingMM, columns: columns, rows: rows)
        guard unit.orthonormality <= 1e-6, planes.heights.allSatisfy(\.isFinite), planes.shifts.allSatisfy({ ($0 * $0).sum().isFinite }),
              zip(planes.heights, planes.heights.dropFirst()).allSatisfy({ $0 < $1 }) else { return nil }
        (self.columns, self.rows, self.pixelSpacingMM, self.originsLPS) = (columns, rows, pixelSpacingMM, originsLPS)
        (columnIndexDirection, rowIndexDirection) = (a, b)
        isRegular = planes.isRegular(pixelSpacingMM)
        guard let working = isRegular ? planes.evenGrid(unit, pixelSpacingMM, originsLPS[0]) : planes.coveringGrid(unit, pixelSpacingMM, originsLPS[0]) else { return nil }
        self.working = working
    }

    /// The slices of a regular grid.
    public init(_ geometry: VolumeGeometry) {
        columns = geometry.size.x
        rows = geometry.size.y
        pixelSpacingMM = [geometry.spacingMM.x, geometry.spacingMM.y]
        (columnIndexDirection, rowIndexDirection) = (geometry.columnIndexDirection, geometry.rowIndexDirection)
        originsLPS = (0..<geometry.size.z).map { geometry.indexToPatient([0, 0, Double($0)]) }
        working = geometry
        isRegular = true
    }

    /// Number of slices.
    public var slices: Int { originsLPS.count }

    /// Number of pixels of all slices.
    public var count: Int { columns * rows * slices }

    /// Patient position (LPS, mm) of a continuous pixel index (column, row) of a slice.
    public func pixelToPatient(_ pixel: SIMD2<Double>, slice: Int) -> SIMD3<Double> {
        let step = pixel * pixelSpacingMM
        return originsLPS[slice] + step.x * columnIndexDirection + step.y * rowIndexDirection
    }

    /// Continuous pixel index of a patient position's foot on a slice.
    public func patientToPixel(_ positionLPS: SIMD3<Double>, slice: Int) -> SIMD2<Double> {
        let d = positionLPS - originsLPS[slice]
        return SIMD2((d * columnIndexDirection).sum(), (d * rowIndexDirection).sum()) / pixelSpacingMM
    }

    /// How far a patient position lies from the first slice along the normal, in millimetres.
    public func heightMM(_ positionLPS: SIMD3<Double>) -> Double { ((positionLPS - originsLPS[0]) * working.sliceIndexDirection).sum() }

    /// The part of space that each slice stands for, along the normal, in millimetres: half way to its neighbours, at the ends as far
    /// outwards as inwards. On a regular stack exactly the spacing.
    public var thicknessesMM: [Double] {
        guard !isRegular else { return [Double](repeating: working.spacingMM.z, count: slices) }
        let heights = originsLPS.map(heightMM), steps = zip(heights.dropFirst(), heights).map { $0 - $1 }
        return heights.indices.map { ((steps.indices.contains($0 - 1) ? steps[$0 - 1] : steps[0]) + (steps.indices.contains($0) ? steps[$0] : steps[$0 - 1])) / 2 }
    }

    fileprivate var planes: Planes {
        let unit = VolumeGeometry(size: .one, spacingMM: .one, originLPS: .zero, columnIndexDirection: columnIndexDirection, rowIndexDirection: rowIndexDirection)
        return Planes(originsLPS, unit, pixelSpacingMM, columns: columns, rows: rows)
    }

    fileprivate var workingPlanes: Planes {
        let shift = patientToPixel(working.originLPS, slice: 0)
        return Planes(heights: (0..<working.size.z).map { Double($0) * working.spacingMM.z },
                      shifts: [SIMD2<Double>](repeating: shift, count: working.size.z), columns: working.size.x, rows: working.size.y)
    }
}

/// A binary mask on the slices of a source: 0 outside, 1 inside.
public struct SourceMask: Sendable {
    public let grid: SourceGrid
    /// 0 or 1, column fastest, then row, then slice.
    public var voxels: [UInt8]

    public init(grid: SourceGrid, voxels: [UInt8]) {
        precondition(voxels.count == grid.count)
        self.grid = grid
        self.voxels = voxels
    }

    /// Where a slice's pixels lie in `voxels`.
    public func range(ofSlice slice: Int) -> Range<Int> { slice * grid.columns * grid.rows..<(slice + 1) * grid.columns * grid.rows }

    /// Volume of the inside in millilitres: every pixel as thick as its slice stands for.
    public var volumeML: Double {
        let thicknesses = grid.thicknessesMM
        return voxels.withUnsafeBytes { voxels in
            (0..<grid.slices).reduce(0) { sum, slice in
                var count: UInt64 = 0, n = range(ofSlice: slice).lowerBound
                let end = range(ofSlice: slice).upperBound
                // Eight at a time: the product's highest byte is the sum of all.
                while n &+ 8 <= end { count &+= (voxels.loadUnaligned(fromByteOffset: n, as: UInt64.self) &* 0x0101_0101_0101_0101) >> 56; n &+= 8 }
                while n < end { count &+= UInt64(voxels[n]); n &+= 1 }
                return sum + Double(count) * thicknesses[slice]
            }
        } * grid.pixelSpacingMM.x * grid.pixelSpacingMM.y / 1000
    }
}

// MARK: - Between the source and its working grid

extension SourceGrid {
    /// The volume that the pixels of the slices make: between slices linear along the normal, within one linear along rows and
    /// columns, all at their true positions. `outside` where no slice reaches.
    ///
    /// On a regular stack the very same voxels. `voxels` holds `count` values, column fastest, then row, then slice.
    public func volume(_ voxels: [Int16], outside: Int16) -> Volume {
        guard !isRegular else { return Volume(geometry: working, voxels: voxels) }
        let plane = columns * rows, target = working.size.x * working.size.y
        let result = [Int16](unsafeUninitializedCapacity: working.count) { result, initialized in
            // Threads write planes of their own.
            nonisolated(unsafe) let result = result
            voxels.withUnsafeBufferPointer { voxels in
                nonisolated(unsafe) let voxels = voxels
                planes.carry(to: workingPlanes, load: { slice, into in
                    var n = 0
                    while n < plane { into[n] = Float(voxels[slice &* plane &+ n]); n &+= 1 }
                }, store: { slice, from in
                    var n = 0
                    while n < target {
                        result[slice &* target &+ n] = from[n].isNaN ? outside : Int16(from[n].rounded())
                        n &+= 1
                    }
                })
            }
            initialized = working.count
        }
        return Volume(geometry: working, voxels: result)
    }

    /// A mask of the working grid on the slices of the source: a pixel is inside where at least half of the linearly interpolated
    /// mask is; half way between two, the first decides. On a regular stack the very same voxels.
    public func sourceMask(_ mask: Mask) -> SourceMask {
        precondition(mask.geometry == working)
        guard !isRegular else { return SourceMask(grid: self, voxels: mask.voxels) }
        return SourceMask(grid: self, voxels: Self.carry(mask.voxels, from: workingPlanes, to: planes))
    }

    /// Probabilities of the working grid on the slices of the source, linearly interpolated; `mask` is what `sourceMask` made of theirs.
    ///
    /// Where interpolation lands on the other side of one half than the mask, which ties and rims decide, it is moved to the nearest
    /// value on the mask's side: at every pixel, the mask is what is at least `ProbabilityMap.inside`.
    public func sourceProbabilities(_ map: ProbabilityMap, of mask: SourceMask) -> SourceProbabilities {
        precondition(map.geometry == working && mask.grid == self)
        guard !isRegular else { return SourceProbabilities(grid: self, voxels: map.voxels) }
        let plane = columns * rows
        var result = mask.voxels.map { $0 == 0 ? 0 : ProbabilityMap.inside }
        result.withUnsafeMutableBufferPointer { result in
            // Threads write planes of their own.
            nonisolated(unsafe) let result = result
            workingPlanes.carry(to: planes, isEmpty: { $0 < map.voxels.box.lower.z || $0 > map.voxels.box.upper.z }, load: { slice, into in
                for (n, value) in map.voxels.plane(slice).enumerated() { into[n] = Float(value) }
            }, store: { slice, from in
                for n in 0..<plane where !from[n].isNaN {
                    let value = UInt8(from[n].rounded())
                    result[slice * plane + n] = mask.voxels[slice * plane + n] == 0 ? min(value, ProbabilityMap.inside - 1) : max(value, ProbabilityMap.inside)
                }
            })
        }
        return SourceProbabilities(grid: self, voxels: BoxedVoxels(size: [columns, rows, slices], voxels: result))
    }

    /// A mask of the source's slices on the working grid, by the same rule.
    public func workingMask(_ mask: SourceMask) -> Mask {
        precondition(mask.grid == self)
        guard !isRegular else { return Mask(geometry: working, voxels: mask.voxels) }
        return Mask(geometry: working, voxels: Self.carry(mask.voxels, from: planes, to: workingPlanes))
    }

    private static func carry(_ voxels: [UInt8], from source: Planes, to target: Planes) -> [UInt8] {
        let plane = source.columns * source.rows, targetPlane = target.columns * target.rows
        var result = [UInt8](repeating: 0, count: targetPlane * target.heights.count)
        voxels.withUnsafeBufferPointer { voxels in
            nonisolated(unsafe) let voxels = voxels
            result.withUnsafeMutableBufferPointer { result in
                // Threads write planes of their own.
                nonisolated(unsafe) let result = result
                source.carry(to: target, breakingTies: true, isEmpty: { slice in
                    !UnsafeBufferPointer(rebasing: voxels[slice * plane..<(slice + 1) * plane]).contains(1)
                }, load: { slice, into in
                    var n = 0
                    while n < plane { into[n] = Float(voxels[slice &* plane &+ n]); n &+= 1 }
                }, store: { slice, from in
                    var n = 0
                    // NaN is not greater.
                    while n < targetPlane { if from[n] >= 0.5 { result[slice &* targetPlane &+ n] = 1 }; n &+= 1 }
                })
            }
        }
        return result
    }
}

/// Parallel planes of pixels, described by where each begins: its height along the normal, in millimetres from the source's first, and
/// its shift along columns and rows, in pixels from there.
private struct Planes {
    let heights: [Double]
    let shifts: [SIMD2<Double>]
    let columns, rows: Int

    init(heights: [Double], shifts: [SIMD2<Double>], columns: Int, rows: Int) {
        (self.heights, self.shifts, self.columns, self.rows) = (heights, shifts, columns, rows)
    }

    init(_ originsLPS: [SIMD3<Double>], _ unit: VolumeGeometry, _ pixelSpacingMM: SIMD2<Double>, columns: Int, rows: Int) {
        let steps = originsLPS.map { unit.patientToIndex($0 - originsLPS[0]) }
        self.init(heights: steps.map(\.z), shifts: steps.map { SIMD2($0.x, $0.y) / pixelSpacingMM }, columns: columns, rows: rows)
    }

    func isRegular(_ pixelSpacingMM: SIMD2<Double>) -> Bool {
        let step = heights.last! / Double(heights.count - 1)
        let lean = shifts.map { (($0 * pixelSpacingMM) * ($0 * pixelSpacingMM)).sum().squareRoot() }.max()!
        return heights.enumerated().allSatisfy { ($0.element - Double($0.offset) * step).magnitude <= SourceGrid.positionToleranceMM }
            && lean <= SourceGrid.leanTolerancePixels * pixelSpacingMM.min()
    }

    /// The grid whose slices are these.
    func evenGrid(_ unit: VolumeGeometry, _ pixelSpacingMM: SIMD2<Double>, _ originLPS: SIMD3<Double>) -> VolumeGeometry? {
        VolumeGeometry(size: [columns, rows, heights.count], spacingMM: [pixelSpacingMM.x, pixelSpacingMM.y, heights.last! / Double(heights.count - 1)],
                       originLPS: originLPS, columnIndexDirection: unit.columnIndexDirection, rowIndexDirection: unit.rowIndexDirection)
    }

    /// The smallest regular grid over all slices that keeps the first one's pixels; nil where its size is beyond reason.
    func coveringGrid(_ unit: VolumeGeometry, _ pixelSpacingMM: SIMD2<Double>, _ originLPS: SIMD3<Double>) -> VolumeGeometry? {
        let steps = zip(heights.dropFirst(), heights).map { $0 - $1 }.sorted()
        let intervals = max(1, (heights.last! / steps[Int(Double(steps.count) * SourceGrid.finestShare)]).rounded())
        // What reaches beyond by a hundredth of a pixel is rounding and not worth a row.
        let low = (shifts.reduce(shifts[0], pointwiseMin) + 0.01).rounded(.down), high = (shifts.reduce(shifts[0], pointwiseMax) - 0.01).rounded(.up)
        let grown = high - low
        guard grown.max() < 1e6, intervals < 1e6 else { return nil }
        return VolumeGeometry(
            size: [columns + Int(grown.x), rows + Int(grown.y), Int(intervals) + 1],
            spacingMM: [pixelSpacingMM.x, pixelSpacingMM.y, heights.last! / intervals],
            originLPS: originLPS + low.x * pixelSpacingMM.x * unit.columnIndexDirection + low.y * pixelSpacingMM.y * unit.rowIndexDirection,
            columnIndexDirection: unit.columnIndexDirection, rowIndexDirection: unit.rowIndexDirection)
    }

    /// Interpolates every plane of `target` between the two of these on either side of it. NaN where neither reaches; where one
    /// reaches, its value alone. Planes between two empty ones are not stored.
    ///
    /// `breakingTies` makes the first of two that are equally near the nearer one, so that a mask does not grow. On all cores: `load` and
    /// `store` are called by several threads, the latter once for a plane.
    func carry(to target: Planes, breakingTies: Bool = false, isEmpty: @Sendable (Int) -> Bool = { _ in false },
               load: @Sendable (Int, UnsafeMutablePointer<Float>) -> Void, store: @Sendable (Int, UnsafePointer<Float>) -> Void) {
        let count = target.heights.count
        DispatchQueue.concurrentPerform(iterations: (count + Self.share - 1) / Self.share) { n in
            carry(to: target, n * Self.share..<min((n + 1) * Self.share, count), breakingTies, isEmpty, load, store)
        }
    }

    /// Planes that one thread makes in a row, so that it loads most of the source's but once.
    private static let share = 16

    private func carry(to target: Planes, _ numbers: Range<Int>, _ breakingTies: Bool, _ isEmpty: (Int) -> Bool,
                       _ load: (Int, UnsafeMutablePointer<Float>) -> Void, _ store: (Int, UnsafePointer<Float>) -> Void) {
        var loaded: [Int: [Float]] = [:]
        var low = [Float](repeating: 0, count: target.columns * target.rows), high = low
        var above = 1
        for number in numbers {
            let height = target.heights[number]
            while above < heights.count - 1, heights[above] < height { above += 1 }
            let span = heights[above] - heights[above - 1]
            let share = Self.weight(min(max((height - heights[above - 1]) / span, 0), 1), breakingTies)
            let used = share == 0 ? [above - 1] : share == 1 ? [above] : [above - 1, above]
            if used.allSatisfy(isEmpty) { continue }
            loaded = loaded.filter { used.contains($0.key) }
            for slice in used where loaded[slice] == nil {
                loaded[slice] = [Float](unsafeUninitializedCapacity: columns * rows) { values, initialized in
                    load(slice, values.baseAddress!)
                    initialized = columns * rows
                }
            }
            translate(loaded[used[0]]!, by: target.shifts[number] - shifts[used[0]], to: target, breakingTies, into: &low)
            if used.count == 2 {
                translate(loaded[above]!, by: target.shifts[number] - shifts[above], to: target, breakingTies, into: &high)
                mix(&low, high, share)
            }
            low.withUnsafeBufferPointer { store(number, $0.baseAddress!) }
        }
    }

    /// Shifts by less than this share of a pixel or of a distance between slices are rounding, not geometry.
    private static let rounding = 1e-4

    /// The second neighbour's weight from its share of the way.
    fileprivate static func weight(_ share: Double, _ breakingTies: Bool) -> Float {
        if share < rounding { return 0 }
        if share > 1 - rounding { return 1 }
        return breakingTies && (share - 0.5).magnitude < rounding ? 0.499 : Float(share)
    }

    /// One plane's values at the pixels of another that begins `shift` pixels from it: linear, the rim's value to its pixels' outer edge.
    private func translate(_ values: [Float], by shift: SIMD2<Double>, to target: Planes, _ breakingTies: Bool, into result: inout [Float]) {
        let x = Axis(shift.x, count: columns, target: target.columns, breakingTies), y = Axis(shift.y, count: rows, target: target.rows, breakingTies)
        values.withUnsafeBufferPointer { values in
            result.withUnsafeMutableBufferPointer { result in
                for n in result.indices { result[n] = .nan }
                for j in y.reached {
                    let upper = y.first(j) * columns, lower = y.second(j) * columns
                    let wy = y.weight, wx = x.weight
                    var i = x.reached.lowerBound
                    while i < x.reached.upperBound {
                        let left = x.first(i), right = x.second(i)
                        let a = values[upper &+ left] * (1 - wx) + values[upper &+ right] * wx
                        let b = values[lower &+ left] * (1 - wx) + values[lower &+ right] * wx
                        result[j &* target.columns &+ i] = a * (1 - wy) + b * wy
                        i &+= 1
                    }
                }
            }
        }
    }

    /// Both where both reach, else the one that does.
    private func mix(_ low: inout [Float], _ high: [Float], _ share: Float) {
        low.withUnsafeMutableBufferPointer { low in
            high.withUnsafeBufferPointer { high in
                var n = 0
                while n < low.count {
                    if low[n].isNaN { low[n] = high[n] } else if !high[n].isNaN { low[n] = low[n] * (1 - share) + high[n] * share }
                    n &+= 1
                }
            }
        }
    }
}

/// A translation along one axis: which two source pixels make a target pixel, and the second's weight.
private struct Axis {
    let weight: Float
    /// The target pixels whose centres lie within the source's pixels.
    let reached: Range<Int>
    private let whole, last: Int

    init(_ shift: Double, count: Int, target: Int, _ breakingTies: Bool) {
        // Bounded, so that a shift beyond all pixels stays a whole number.
        let shift = min(max(shift, -Double(target) - 2), Double(count) + 2)
        let whole = shift.rounded(.down)
        self.whole = Int(whole)
        weight = Planes.weight(shift - whole, breakingTies)
        last = count - 1
        let low = Int((-0.5 - shift).rounded(.up)), high = Int((Double(count) - 0.5 - shift).rounded(.down))
        let start = min(max(0, low), target)
        reached = start..<max(start, min(target, high + 1))
    }

    @inline(__always) func first(_ target: Int) -> Int { min(max(target &+ whole, 0), last) }
    @inline(__always) func second(_ target: Int) -> Int { min(max(target &+ whole &+ 1, 0), last) }
}
