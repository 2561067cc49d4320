import DICOMCore
import ImagingGeometry

/// Reads the closed planar contours of an RT Structure Set as masks.
public enum StructureSetReader {
    /// A contour whose points leave its plane by more than this share of the slice spacing is not planar.
    static let planarityTolerance = 0.1

    /// A mask for each ROI that has contours on these planes, by its ROI name.
    ///
    /// A contour belongs to the nearest plane; those of one ROI on one plane combine by even-odd, so that keyholes and separate
    /// holes are both honoured. Contours of other geometric types, with broken coordinates, beyond the grid or across its planes
    /// are passed over. A name that two ROIs share is left out, since neither can be meant.
    /// - Throws: `structureSetUnusable` when the data set is no structure set, or lies in another frame of reference than
    ///   `frameOfReferenceUID` (nil: any).
    public static func masks(in dataSet: DataSet, geometry: VolumeGeometry, frameOfReferenceUID: UID? = nil) throws -> [String: Mask] {
        let object = "Structure set \(dataSet.string(.sopInstanceUID) ?? "without UID")"
        guard dataSet.string(.sopClassUID) == SOPClass.rtStructureSetStorage.string else {
            throw ImagingError(.structureSetUnusable, "\(object): not an RT Structure Set.")
        }
        let contoursOfROI = Dictionary(grouping: dataSet.items(.roiContourSequence)) { $0.integer(.referencedROINumber) }
        var masks: [String: Mask] = [:], ambiguous: Set<String> = []
        for roi in dataSet.items(.structureSetROISequence) {
            guard let number = roi.integer(.roiNumber), let name = roi.string(.roiName) else { continue }
            if let wanted = frameOfReferenceUID, let found = roi.uid(.referencedFrameOfReferenceUID), found != wanted {
                throw ImagingError(.structureSetUnusable, "\(object): ROI \(number) lies in frame of reference \(found), not \(wanted).")
            }
            let contours = (contoursOfROI[number] ?? []).flatMap { $0.items(.contourSequence) }
            guard let mask = mask(of: contours, on: geometry) else { continue }
            if masks.updateValue(mask, forKey: name) != nil { ambiguous.insert(name) }
        }
        return masks.filter { !ambiguous.contains($0.key) }
    }

    private static func mask(of items: [DataSet], on geometry: VolumeGeometry) -> Mask? {
        var planes: [Int: [Contour]] = [:]
        for item in items {
            guard let type = item.string(.contourGeometricType), type.hasPrefix("CLOSED"),
                  let (plane, contour) = contour(item.doubles(.contourData), on: geometry) else { continue }
            planes[plane, default: []].append(contour)
        }
        guard !planes.isEmpty else { return nil }
        let size = geometry.size, area = size.x * size.y
        var voxels = [UInt8](repeating: 0, count: geometry.count)
        for (plane, contours) in planes {
            voxels.replaceSubrange(plane * area..<(plane + 1) * area, with: Contours.rasterise(contours, columns: size.x, rows: size.y))
        }
        return Mask(geometry: geometry, voxels: voxels)
    }

    private static func contour(_ values: [Double], on geometry: VolumeGeometry) -> (Int, Contour)? {
        guard values.count >= 9, values.count % 3 == 0 else { return nil }
        let points = stride(from: 0, to: values.count, by: 3).map { geometry.patientToIndex([values[$0], values[$0 + 1], values[$0 + 2]]) }
        let plane = points.map(\.z).reduce(0, +) / Double(points.count), nearest = plane.rounded()
        guard (0..<Double(geometry.size.z)).contains(nearest), points.allSatisfy({ abs($0.z - plane) <= planarityTolerance }) else { return nil }
        return (Int(nearest), Contour(points: points.map { SIMD2($0.x, $0.y) }))
    }
}
