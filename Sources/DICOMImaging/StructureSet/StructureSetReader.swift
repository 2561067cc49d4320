import DICOMCore
import ImagingGeometry

/// Reads the closed planar contours of an RT Structure Set as masks.
public enum StructureSetReader {
    /// A contour whose points leave its plane by more than this share of what its slice stands for is not planar.
    static let planarityTolerance = 0.1

    /// A mask for each ROI that has contours on these planes, by its ROI name; on a regular grid. See `masks(in:grid:frameOfReferenceUID:)`.
    public static func masks(in dataSet: DataSet, geometry: VolumeGeometry, frameOfReferenceUID: UID? = nil) throws -> [String: Mask] {
        try masks(in: dataSet, grid: SourceGrid(geometry), frameOfReferenceUID: frameOfReferenceUID).mapValues { Mask(geometry: geometry, voxels: $0.voxels) }
    }

    /// A mask for each ROI that has contours on these slices, by its ROI name.
    ///
    /// A contour belongs to the nearest slice; those of one ROI on one slice combine by even-odd, so that keyholes and separate
    /// holes are both honoured. Contours of other geometric types, with broken coordinates, beyond the slices or across their planes
    /// are passed over. A name that two ROIs share is left out, since neither can be meant.
    /// - Throws: `structureSetUnusable` when the data set is no structure set, or lies in another frame of reference than
    ///   `frameOfReferenceUID` (nil: any).
    public static func masks(in dataSet: DataSet, grid: SourceGrid, frameOfReferenceUID: UID? = nil) throws -> [String: SourceMask] {
        let object = "Structure set \(dataSet.string(.sopInstanceUID) ?? "without UID")"
        guard dataSet.string(.sopClassUID) == SOPClass.rtStructureSetStorage.string else {
            throw ImagingError(.structureSetUnusable, "\(object): not an RT Structure Set.")
        }
        let contoursOfROI = Dictionary(grouping: dataSet.items(.roiContourSequence)) { $0.integer(.referencedROINumber) }
        var masks: [String: SourceMask] = [:], ambiguous: Set<String> = []
        let slices = SliceFinder(grid)
        for roi in dataSet.items(.structureSetROISequence) {
            guard let number = roi.integer(.roiNumber), let name = roi.string(.roiName) else { continue }
            if let wanted = frameOfReferenceUID, let found = roi.uid(.referencedFrameOfReferenceUID), found != wanted {
                throw ImagingError(.structureSetUnusable, "\(object): ROI \(number) lies in frame of reference \(found), not \(wanted).")
            }
            let contours = (contoursOfROI[number] ?? []).flatMap { $0.items(.contourSequence) }
            guard let mask = mask(of: contours, on: slices) else { continue }
            if masks.updateValue(mask, forKey: name) != nil { ambiguous.insert(name) }
        }
        return masks.filter { !ambiguous.contains($0.key) }
    }

    private static func mask(of items: [DataSet], on slices: SliceFinder) -> SourceMask? {
        var planes: [Int: [Contour]] = [:]
        for item in items {
            guard let type = item.string(.contourGeometricType), type.hasPrefix("CLOSED"),
                  let (slice, contour) = slices.contour(item.doubles(.contourData)) else { continue }
            planes[slice, default: []].append(contour)
        }
        guard !planes.isEmpty else { return nil }
        let grid = slices.grid
        var mask = SourceMask(grid: grid, voxels: [UInt8](repeating: 0, count: grid.count))
        for (slice, contours) in planes {
            mask.voxels.replaceSubrange(mask.range(ofSlice: slice), with: Contours.rasterise(contours, columns: grid.columns, rows: grid.rows))
        }
        return mask
    }
}

/// Finds the slice that a contour lies on.
private struct SliceFinder {
    let grid: SourceGrid
    private let heights, thicknesses: [Double]

    init(_ grid: SourceGrid) {
        self.grid = grid
        heights = grid.originsLPS.map(grid.heightMM)
        thicknesses = grid.thicknessesMM
    }

    /// The contour of Contour Data in the pixels of its slice; nil where it lies on none.
    func contour(_ values: [Double]) -> (slice: Int, contour: Contour)? {
        guard values.count >= 9, values.count % 3 == 0 else { return nil }
        let points = stride(from: 0, to: values.count, by: 3).map { SIMD3(values[$0], values[$0 + 1], values[$0 + 2]) }
        let pointHeights = points.map(grid.heightMM), plane = pointHeights.reduce(0, +) / Double(points.count)
        guard plane.isFinite, let slice = heights.indices.min(by: { (heights[$0] - plane).magnitude < (heights[$1] - plane).magnitude }),
              (heights[slice] - plane).magnitude <= thicknesses[slice] / 2,
              pointHeights.allSatisfy({ ($0 - plane).magnitude <= StructureSetReader.planarityTolerance * thicknesses[slice] }) else { return nil }
        return (slice, Contour(points: points.map { grid.patientToPixel($0, slice: slice) }))
    }
}
