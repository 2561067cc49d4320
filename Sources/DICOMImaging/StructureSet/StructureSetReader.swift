import DICOMCore
import ImagingGeometry

/// Reads the closed planar contours of an RT Structure Set as masks.
public enum StructureSetReader {
    /// A contour whose points leave its plane by more than this share of what its slice stands for is not planar.
    static let planarityTolerance = 0.1
    /// More ROIs than any person or program draws; each may need a mask as large as the scan.
    static let maximumROIs = 1000

    /// A mask for each ROI that has contours on these planes, by its ROI name; on a regular grid. See `masks(in:grid:frameOfReferenceUID:)`.
    public static func masks(in dataSet: DataSet, geometry: VolumeGeometry, frameOfReferenceUID: UID? = nil) throws -> [String: Mask] {
        try masks(in: dataSet, grid: SourceGrid(geometry), frameOfReferenceUID: frameOfReferenceUID).mapValues { Mask(geometry: geometry, voxels: $0.voxels) }
    }

    /// A mask for each ROI that has contours on these slices, by its ROI name; throws as `read` does.
    public static func masks(in dataSet: DataSet, grid: SourceGrid, frameOfReferenceUID: UID? = nil) throws -> [String: SourceMask] {
        var masks: [String: SourceMask] = [:]
        try read(dataSet, grid: grid, frameOfReferenceUID: frameOfReferenceUID) { masks[$0] = $1 }
        return masks
    }

    /// Hands out a mask for each ROI that has contours on these slices, one after the other, with its ROI name.
    ///
    /// A contour belongs to the nearest slice. Those of one ROI on one slice combine so: CLOSEDPLANAR_XOR by even-odd
    /// (PS3.3 C.8.8.6.3); CLOSED_PLANAR are joined, but one that lies within what is drawn already is a hole, and one in that hole an island.
    /// A keyhole's bridge encloses nothing.
    /// - Returns: What was passed over and why, a sentence each: contours of other geometric types, with broken coordinates, beyond the
    ///   slices or across their planes, and all of a name that two ROIs share, since neither can be meant.
    /// - Throws: `structureSetUnusable` when the data set is no structure set, holds more ROIs than anyone draws, or lies in another frame of
    ///   reference than `frameOfReferenceUID` (nil: any); and what `body` throws.
    @discardableResult
    public static func read(_ dataSet: DataSet, grid: SourceGrid, frameOfReferenceUID: UID? = nil, _ body: (String, SourceMask) throws -> Void) throws -> [String] {
        let object = "Structure set \(dataSet.string(.sopInstanceUID) ?? "without UID")"
        guard dataSet.string(.sopClassUID) == SOPClass.rtStructureSetStorage.string else {
            throw ImagingError(.structureSetUnusable, "\(object): not an RT Structure Set.")
        }
        let rois = dataSet.items(.structureSetROISequence)
        guard rois.count <= maximumROIs else {
            throw ImagingError(.structureSetUnusable, "\(object): \(rois.count) ROIs, more than \(maximumROIs).")
        }
        if let wanted = frameOfReferenceUID, let (roi, found) = rois.lazy.compactMap({ roi in roi.uid(.referencedFrameOfReferenceUID).map { (roi, $0) } }).first(where: { $1 != wanted }) {
            throw ImagingError(.structureSetUnusable, "\(object): ROI \(roi.integer(.roiNumber) ?? 0) lies in frame of reference \(found), not \(wanted).")
        }
        let drawn = Dictionary(grouping: dataSet.items(.roiContourSequence)) { $0.integer(.referencedROINumber) }
        let named = rois.compactMap { roi -> (number: Int, name: String, contours: [DataSet])? in
            guard let number = roi.integer(.roiNumber), let name = roi.string(.roiName) else { return nil }
            return (number, name, (drawn[number] ?? []).flatMap { $0.items(.contourSequence) })
        }.filter { !$0.contours.isEmpty }
        var warnings: [String] = []
        if named.count < rois.count { warnings.append("\(object): \(rois.count - named.count) ROIs have no contours, or no number or name.") }
        let slices = SliceFinder(grid)
        for (name, same) in Dictionary(grouping: named, by: \.name).sorted(by: { $0.value[0].number < $1.value[0].number }) {
            guard same.count == 1 else {
                warnings.append("\(object): ROIs \(same.map { "\($0.number)" }.joined(separator: ", ")) passed over: they share a name.")
                continue
            }
            var contours = SlicedContours()
            for item in same[0].contours { contours.add(item, on: slices) }
            warnings += contours.passedOver.sorted { $0.key < $1.key }.map { "\(object): \($0.value) contours of ROI \(same[0].number) passed over: \($0.key)." }
            if !contours.planes.isEmpty { try body(name, contours.mask(on: grid)) }
        }
        return warnings
    }
}

/// The contours of one ROI by slice.
private struct SlicedContours {
    private(set) var planes: [Int: (planar: [Contour], xor: [Contour])] = [:]
    /// How many were left out, by the reason.
    private(set) var passedOver: [String: Int] = [:]

    mutating func add(_ item: DataSet, on slices: SliceFinder) {
        guard let type = item.string(.contourGeometricType), type.hasPrefix("CLOSED") else {
            return passedOver["not closed planar", default: 0] += 1
        }
        do throws(SliceFinder.Refusal) {
            let (slice, contour) = try slices.contour(item.doubles(.contourData))
            if type.hasSuffix("XOR") { planes[slice, default: ([], [])].xor.append(contour) } else { planes[slice, default: ([], [])].planar.append(contour) }
        } catch { passedOver[error.rawValue, default: 0] += 1 }
    }

    func mask(on grid: SourceGrid) -> SourceMask {
        var mask = SourceMask(grid: grid, voxels: [UInt8](repeating: 0, count: grid.count))
        mask.voxels.withUnsafeMutableBufferPointer { voxels in
            for (slice, contours) in planes {
                let pixels = UnsafeMutableBufferPointer(rebasing: voxels[slice * grid.columns * grid.rows..<(slice + 1) * grid.columns * grid.rows])
                Contours.rasterise(contours.xor, into: pixels, columns: grid.columns, rows: grid.rows)
                Contours.rasterise(nested: contours.planar, into: pixels, columns: grid.columns, rows: grid.rows)
            }
        }
        return mask
    }
}

/// Finds the slice that a contour lies on.
private struct SliceFinder {
    enum Refusal: String, Error {
        case broken = "coordinates are missing, broken or too few", beyond = "beyond the slices", notPlanar = "not in the plane of a slice"
    }

    let grid: SourceGrid
    private let heights, thicknesses: [Double]

    init(_ grid: SourceGrid) {
        self.grid = grid
        heights = grid.originsLPS.map(grid.heightMM)
        thicknesses = grid.thicknessesMM
    }

    /// The contour of Contour Data in the pixels of its slice.
    func contour(_ values: [Double]) throws(Refusal) -> (slice: Int, contour: Contour) {
        guard values.count >= 9, values.count % 3 == 0 else { throw .broken }
        let points = stride(from: 0, to: values.count, by: 3).map { SIMD3(values[$0], values[$0 + 1], values[$0 + 2]) }
        var low = Double.infinity, high = -Double.infinity, sum = 0.0
        for point in points {
            let height = grid.heightMM(point)
            (low, high, sum) = (min(low, height), max(high, height), sum + height)
        }
        let plane = sum / Double(points.count)
        guard plane.isFinite else { throw .broken }
        let slice = nearest(plane)
        guard (heights[slice] - plane).magnitude <= thicknesses[slice] / 2 else { throw .beyond }
        let tolerance = StructureSetReader.planarityTolerance * thicknesses[slice]
        guard high - plane <= tolerance, plane - low <= tolerance else { throw .notPlanar }
        let contour = Contour(points: points.map { grid.patientToPixel($0, slice: slice) })
        guard contour.points.allSatisfy({ ($0 * $0).sum().isFinite }) else { throw .broken }
        return (slice, contour)
    }

    /// The slice at a height; heights rise.
    private func nearest(_ height: Double) -> Int {
        var low = 0, high = heights.count - 1
        while low < high {
            let middle = (low + high) / 2
            if heights[middle + 1] - height <= height - heights[middle] { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
