import Foundation
import ImagingGeometry

/// The pixels of one structure that its contours are traced on, on the source's slices.
struct ContourField {
    let grid: SourceGrid
    /// How many pieces were too small.
    private(set) var piecesLeftOut = 0
    private var mask: SourceMask
    /// Nil where only the mask is known.
    private let probabilities: SourceProbabilities?

    /// What is drawn, and how likely each pixel is inside, where that is known.
    init(_ drawn: SourceMask, probabilities: SourceProbabilities?, _ options: StructureSetOptions) {
        (grid, mask) = (drawn.grid, drawn)
        let likely = options.subpixel ? probabilities : nil
        guard options.smoothingMM > 0 || options.smallestPieceML > 0 else { self.probabilities = likely; return }
        if options.smallestPieceML > 0 { piecesLeftOut = mask.removePieces(under: options.smallestPieceML) }
        guard options.smoothingMM > 0 else { self.probabilities = likely; return }
        let smooth = mask.smoothedBetweenSlices(likely, deviationMM: options.smoothingMM)
        mask.voxels = smooth.map { $0 >= ProbabilityMap.inside ? 1 : 0 }
        self.probabilities = SourceProbabilities(grid: grid, voxels: BoxedVoxels(size: [grid.columns, grid.rows, grid.slices], voxels: smooth))
    }

    /// Whether contours run between pixels by more than yes and no.
    var isSubpixel: Bool { probabilities != nil }

    /// What is traced on a slice; nil where nothing is inside.
    func plane(_ slice: Int) -> ContourPlane? {
        mask.voxels.withUnsafeBufferPointer { voxels in
            let pixels = UnsafeBufferPointer(rebasing: voxels[mask.range(ofSlice: slice)])
            guard let probabilities else { return ContourPlane(mask: pixels, columns: grid.columns, rows: grid.rows) }
            guard holdsAny(pixels) else { return nil }
            return probabilities.pixels(ofSlice: slice).withUnsafeBufferPointer { ContourPlane(mask: pixels, probabilities: $0, columns: grid.columns, rows: grid.rows) }
        }
    }
}

extension SourceMask {
    /// Leaves out pieces (pixels joined by faces within and between slices) of less than a volume; returns their number.
    fileprivate mutating func removePieces(under milliliters: Double) -> Int {
        let thicknesses = grid.thicknessesMM, pixelMM2 = grid.pixelSpacingMM.x * grid.pixelSpacingMM.y, plane = grid.columns * grid.rows
        let pixels = Mask(geometry: VolumeGeometry(size: [grid.columns, grid.rows, grid.slices], spacingMM: .one, originLPS: .zero), voxels: voxels)
        let small = pixels.connectedComponents().filter { $0.offsets.reduce(0) { $0 + thicknesses[$1 / plane] } * pixelMM2 / 1000 < milliliters }
        for piece in small { for offset in piece.offsets { voxels[offset] = 0 } }
        return small.count
    }

    /// A Gaussian's mean of the slices around each, as far as the slices go, at the same place in space (to the nearest pixel); 0 to 255, the
    /// structure being what is at least `ProbabilityMap.inside`.
    ///
    /// A slice that would lose all of the structure keeps what it had.
    fileprivate func smoothedBetweenSlices(_ probabilities: SourceProbabilities?, deviationMM: Double) -> [UInt8] {
        let plane = grid.columns * grid.rows, heights = grid.originsLPS.map(grid.heightMM), thicknesses = grid.thicknessesMM
        let sharp = (0..<grid.slices).map { slice -> [UInt8]? in
            let drawn = voxels[range(ofSlice: slice)]
            guard drawn.withUnsafeBufferPointer(holdsAny) else { return nil }
            guard let likely = probabilities?.pixels(ofSlice: slice) else { return drawn.map { $0 &* 255 } }
            return zip(drawn, likely).map { $0 == 0 ? min($1, ProbabilityMap.inside - 1) : max($1, ProbabilityMap.inside) }
        }
        var result = [UInt8](repeating: 0, count: voxels.count)
        var sum = [Float](repeating: 0, count: plane)
        for slice in 0..<grid.slices {
            var total: Float = 0
            for n in sum.indices { sum[n] = 0 }
            for other in 0..<grid.slices {
                let away = (heights[other] - heights[slice]) / deviationMM
                guard away.magnitude <= Self.smoothingReach else { continue }
                let weight = Float(exp(-away * away / 2) * thicknesses[other])
                total += weight
                guard let pixels = sharp[other] else { continue }
                add(pixels, weight, shift: grid.patientToPixel(grid.originsLPS[slice], slice: other), to: &sum)
            }
            var holds = false
            result.withUnsafeMutableBufferPointer { result in
                for n in 0..<plane where sum[n] > 0 {
                    result[slice * plane + n] = UInt8((sum[n] / total).rounded())
                    holds = holds || result[slice * plane + n] >= ProbabilityMap.inside
                }
            }
            if !holds, let own = sharp[slice] { result.replaceSubrange(range(ofSlice: slice), with: own) }
        }
        return result
    }

    /// Standard deviations after which a Gaussian adds nothing that a byte could hold.
    private static let smoothingReach = 3.0

    /// Adds a slice's pixels as those of one that begins `shift` pixels from it.
    private func add(_ pixels: [UInt8], _ weight: Float, shift: SIMD2<Double>, to sum: inout [Float]) {
        let dx = Int(shift.x.rounded()), dy = Int(shift.y.rounded())
        let columns = max(0, -dx)..<max(max(0, -dx), min(grid.columns, grid.columns - dx))
        for j in max(0, -dy)..<max(max(0, -dy), min(grid.rows, grid.rows - dy)) {
            let to = j * grid.columns, from = (j + dy) * grid.columns + dx
            for i in columns { sum[to + i] += weight * Float(pixels[from + i]) }
        }
    }
}
