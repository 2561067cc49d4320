import DICOMCore
import ImagingGeometry

/// The slices of one series in the order of their positions, checked to lie on a regular grid.
struct OrderedStack {
    /// Increasing along the normal; never sorted by instance number, which says nothing about place.
    let slices: [CTSlice]
    let geometry: VolumeGeometry

    init(_ slices: [CTSlice]) throws(Refusal) {
        let first = slices[0]
        try Self.checkAgreement(slices)
        guard slices.count >= SliceStack.minimumSlices else {
            throw Refusal(.irregular, "it holds \(slices.count) slices, at least \(SliceStack.minimumSlices) are needed")
        }
        guard first.format.columns * first.format.rows * slices.count <= CTSeries.maximumVoxels else {
            throw Refusal(.unsupported, "it has more than \(CTSeries.maximumVoxels) voxels")
        }
        // Devices round the directions; the grid's must be exact, or index and position would not invert each other.
        let a = Self.unit(first.columnIndexDirection)
        let b = Self.unit(first.rowIndexDirection - a * (a * first.rowIndexDirection).sum())
        let normal = SliceStack.cross(a, b)
        let ordered = slices.map { (height: ($0.positionLPS * normal).sum(), slice: $0) }.sorted { $0.height < $1.height }
        self.slices = ordered.map(\.slice)
        for (lower, upper) in zip(ordered, ordered.dropFirst()) where upper.height - lower.height <= SliceStack.duplicateToleranceMM {
            throw Refusal(.irregular, "instances \(lower.slice.header.sopInstanceUID) and \(upper.slice.header.sopInstanceUID) lie at the same position")
        }
        if let irregularity = SliceStack.irregularity(of: ordered.map(\.height)) { throw Refusal(.irregular, irregularity) }
        let origin = self.slices[0].positionLPS, spacing = first.pixelSpacingMM
        let lean = self.slices.map { slice in
            let step = slice.positionLPS - origin, aside = step - normal * (step * normal).sum()
            return (aside * aside).sum().squareRoot()
        }.max()!
        guard lean <= SliceStack.leanTolerancePixels * spacing.min() else {
            let tilt = "the slices are shifted against each other by up to \(SliceStack.millimetres(lean)) mm (gantry tilt)"
            throw Refusal(.irregular, "\(tilt): tolerance \(SliceStack.leanTolerancePixels) pixels")
        }
        let step = (ordered.last!.height - ordered[0].height) / Double(slices.count - 1)
        geometry = VolumeGeometry(size: [first.format.columns, first.format.rows, slices.count], spacingMM: [spacing.x, spacing.y, step],
                                  originLPS: origin, columnIndexDirection: a, rowIndexDirection: b)
    }

    private static func unit(_ vector: SIMD3<Double>) -> SIMD3<Double> { vector / (vector * vector).sum().squareRoot() }

    /// What all slices of a volume share; the first that differs is named.
    private static func checkAgreement(_ slices: [CTSlice]) throws(Refusal) {
        let first = slices[0]
        func differ(_ tolerance: Double, _ a: SIMD3<Double>, _ b: SIMD3<Double>) -> Bool { (a - b).max() > tolerance || (b - a).max() > tolerance }
        for slice in slices.dropFirst() {
            let difference: String? =
                if slice.header.seriesInstanceUID != first.header.seriesInstanceUID { "Series Instance UID" }
                else if slice.header.studyInstanceUID != first.header.studyInstanceUID { "Study Instance UID" }
                else if slice.patient != first.patient { "patient (ID, name or birth date)" }
                else if slice.frameOfReferenceUID != first.frameOfReferenceUID { "Frame of Reference UID" }
                else if slice.format.rows != first.format.rows || slice.format.columns != first.format.columns { "Rows or Columns" }
                else if differ(pixelSpacingTolerance, .init(slice.pixelSpacingMM / first.pixelSpacingMM, 1), .one) { "Pixel Spacing" }
                else if differ(SliceStack.orientationTolerance, slice.columnIndexDirection, first.columnIndexDirection)
                    || differ(SliceStack.orientationTolerance, slice.rowIndexDirection, first.rowIndexDirection) { "Image Orientation (Patient)" }
                else { nil }
            if let difference {
                throw Refusal(.inconsistent, "instances \(first.header.sopInstanceUID) and \(slice.header.sopInstanceUID) differ in \(difference)")
            }
        }
    }

    /// Relative; over 4096 pixels it adds up to a tenth of a pixel.
    private static let pixelSpacingTolerance = 2.5e-5
}
