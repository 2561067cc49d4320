import DICOMCore

/// Whether slices form one regular stack.
public enum SliceStack {
    /// How far a slice may lie from its place on the regular grid, along the normal, in millimetres.
    ///
    /// Devices write positions with as little as one decimal: the slice's own rounding and that of the ends which define
    /// the grid are 0.05 mm each. A missing slice, or a change of the spacing by 1 % within a stack, is beyond it.
    public static let positionToleranceMM = 0.1
    /// Slices nearer than this to each other lie at one place, in millimetres: ten times finer than any CT spacing.
    public static let duplicateToleranceMM = 0.01
    /// How far the stack may lean away from its normal over its whole height, in pixels: what half a pixel's shift does
    /// to a contour no one can see. On 300 mm it is a tenth of a degree; gantries tilt by whole degrees.
    public static let leanTolerancePixels = 0.5
    /// How far the directions of rows and columns may be from unit length, a right angle and from each other's slices:
    /// four decimals, as some devices write.
    public static let orientationTolerance = 1e-3
    /// A stack of fewer slices is no volume: its spacing would rest on too little.
    public static let minimumSlices = 5

    /// What is missing to a series' slices for a gap-free stack, in words; nil when nothing is, or no instance is a CT slice.
    ///
    /// Headers of other instances (localizers, other classes) do not count, nor do two slices at one place: that is
    /// refused when the series is read, but waiting would not cure it.
    public static func gap(in headers: [SliceHeader]) -> String? {
        let slices = headers.filter(\.isCTSlice)
        guard let first = slices.first else { return nil }
        guard let a = first.columnIndexDirection, let b = first.rowIndexDirection else { return nil }
        let heights = slices.compactMap { slice in slice.positionLPS.map { ($0 * cross(a, b)).sum() } }.sorted()
        let distinct = heights.enumerated().filter { $0.offset == 0 || $0.element - heights[$0.offset - 1] > duplicateToleranceMM }.map(\.element)
        guard distinct.count >= minimumSlices else { return "it holds \(distinct.count) slices, at least \(minimumSlices) are needed" }
        return irregularity(of: distinct)
    }

    /// Why sorted heights are not evenly spaced, in words; nil when they are.
    static func irregularity(of heights: [Double]) -> String? {
        let spacing = (heights.last! - heights[0]) / Double(heights.count - 1)
        let worst = heights.enumerated().map { ($0.element - heights[0] - Double($0.offset) * spacing).magnitude }.max()!
        guard worst > positionToleranceMM else { return nil }
        let steps = zip(heights.dropFirst(), heights).map { $0 - $1 }
        return "slice spacing varies \(millimetres(steps.min()!))-\(millimetres(steps.max()!)) mm (tolerance \(positionToleranceMM))"
    }

    static func cross(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> SIMD3<Double> {
        [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
    }

    /// Two decimals at most, and none that say nothing.
    static func millimetres(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
