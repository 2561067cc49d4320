import DICOMCore
import ImagingGeometry

/// Whether slices form one stack, and what is missing to it.
public enum SliceStack {
    /// How far a slice of an even stack may lie from its place, along the normal, in millimetres.
    public static let positionToleranceMM = SourceGrid.positionToleranceMM
    /// Slices nearer than this to each other lie at one place, in millimetres: ten times finer than any CT spacing.
    public static let duplicateToleranceMM = 0.01
    /// How far the directions of rows and columns may be from unit length, a right angle and from each other's slices:
    /// four decimals, as some devices write.
    public static let orientationTolerance = 1e-3
    /// Relative; over 4096 pixels it adds up to a tenth of a pixel.
    static let pixelSpacingTolerance = 2.5e-5
    /// A stack of fewer slices is no volume: its spacing would rest on too little.
    public static let minimumSlices = 3
    /// A distance between slices is planned where so many in a row have it (five slices: a stack by themselves); a wider
    /// distance that does not hold so long is a hole.
    static let plannedSteps = 4
    /// A hole of so many steps on either side is no lost slice but the way to another region, if the headers change there too.
    static let apartSteps = 10.0
    /// More changes of the distance than this are no plan.
    static let maximumBlocks = 4
    /// Coordinates and spacings beyond are broken numbers: a hundred metres; from a hundredth of a millimetre to ten centimetres.
    static let farthestMM = 100_000.0, pixelSpacingRangeMM = 0.01...100

    /// What is missing to a series' slices for whole stacks, in words; nil when nothing is, or no instance is a CT slice.
    ///
    /// Stricter than the reader, since this is asked while slices may still be on their way: a change of the distance counts as
    /// planned only where Slice Thickness changes with it. Headers of other instances (localizers, other classes) do not count,
    /// nor do two slices at one place: waiting would not cure that. A multi-frame image lacks nothing.
    public static func gap(in headers: [SliceHeader]) -> String? {
        let slices = headers.filter { $0.isCTSlice && $0.positionLPS != nil && $0.columnIndexDirection != nil && $0.rowIndexDirection != nil }
        guard !slices.isEmpty else { return nil }
        let stacks = StackSplit.parts(of: slices).map { part in distinct(part.indices.map { slices[$0] }) }
        guard stacks.contains(where: { $0.count >= minimumSlices }) else {
            return "it holds \(stacks[0].count) slices, at least \(minimumSlices) are needed"
        }
        for stack in stacks where stack.count >= minimumSlices {
            let steps = Steps(stack.map(\.height))
            if let irregularity = steps.irregularity { return irregularity }
            if let change = steps.unexplainedChange(thicknesses: stack.map(\.header.sliceThicknessMM)) { return change }
        }
        return nil
    }

    /// Slices in the order of their heights, one for each height.
    private static func distinct(_ headers: [SliceHeader]) -> [(height: Double, header: SliceHeader)] {
        let normal = cross(headers[0].columnIndexDirection!, headers[0].rowIndexDirection!)
        let ordered = headers.map { (height: ($0.positionLPS! * normal).sum(), header: $0) }.sorted { $0.height < $1.height }
        return ordered.enumerated().filter { $0.offset == 0 || $0.element.height - ordered[$0.offset - 1].height > duplicateToleranceMM }.map(\.element)
    }

    static func cross(_ a: SIMD3<Double>, _ b: SIMD3<Double>) -> SIMD3<Double> {
        [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
    }

    /// Two decimals at most, and none that say nothing.
    static func millimetres(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}

/// The distances between the slices of a stack, from below upwards, and what they tell.
struct Steps {
    /// Neighbouring distances that are equal but for the rounding of positions.
    private struct Run {
        var steps: Range<Int>
        var millimetres: Double
        var isPlanned: Bool { steps.count >= SliceStack.plannedSteps }
    }

    /// Whether all slices are equally far apart, to the tolerance of their positions.
    let isEven: Bool
    private let runs: [Run]
    private let steps: [Double]

    /// Takes at least two sorted heights.
    init(_ heights: [Double]) {
        let spacing = (heights.last! - heights[0]) / Double(heights.count - 1)
        isEven = heights.enumerated().allSatisfy { ($0.element - heights[0] - Double($0.offset) * spacing).magnitude <= SliceStack.positionToleranceMM }
        steps = zip(heights.dropFirst(), heights).map { $0 - $1 }
        var runs: [Run] = []
        for (n, step) in steps.enumerated() {
            if var run = runs.last, (step - run.millimetres).magnitude <= Self.tolerance(run.millimetres) {
                run.steps = run.steps.lowerBound..<n + 1
                run.millimetres = (heights[n + 1] - heights[run.steps.lowerBound]) / Double(run.steps.count)
                runs[runs.count - 1] = run
            } else {
                runs.append(Run(steps: n..<n + 1, millimetres: step))
            }
        }
        self.runs = runs
    }

    /// Each end of a step may be off by its position's tolerance; of thin slices' steps, a quarter at most is rounding.
    private static func tolerance(_ step: Double) -> Double { min(2 * SliceStack.positionToleranceMM, step / 4) }

    /// The index of the slice below the first hole: a step wider than those before and after it that is not planned.
    var hole: Int? {
        guard !isEven else { return nil }
        return runs.indices.first { n in
            let neighbours = [n - 1, n + 1].filter(runs.indices.contains).map { runs[$0].millimetres }
            return !runs[n].isPlanned && neighbours.allSatisfy { runs[n].millimetres > $0 + Self.tolerance($0) }
        }.map { runs[$0].steps.lowerBound }
    }

    /// Why the slices are no whole stack, in words; nil when they are even or change their distance as planned.
    var irregularity: String? {
        guard !isEven else { return nil }
        let varies = "slice spacing varies \(SliceStack.millimetres(steps.min()!))-\(SliceStack.millimetres(steps.max()!)) mm (tolerance \(SliceStack.positionToleranceMM))"
        if let hole { return varies + ", and slices are missing: \(SliceStack.millimetres(steps[hole])) mm after slice \(hole + 1) of \(steps.count + 1)" }
        guard runs.count(where: \.isPlanned) <= SliceStack.maximumBlocks else { return varies + " more often than a plan would" }
        return nil
    }

    /// A change of the distance, in words, that comes without one of Slice Thickness; nil where there is none.
    func unexplainedChange(thicknesses: [Double?]) -> String? {
        guard !isEven else { return nil }
        let blocks = runs.filter(\.isPlanned).map { run in
            (step: run.millimetres, thicknesses: Set(thicknesses[run.steps.lowerBound + 1..<run.steps.upperBound]))
        }
        for (below, above) in zip(blocks, blocks.dropFirst()) where below.thicknesses == above.thicknesses {
            return "slice spacing changes from \(SliceStack.millimetres(below.step)) to \(SliceStack.millimetres(above.step)) mm, "
                + "and the slice thickness does not: slices may be missing"
        }
        return nil
    }
}
