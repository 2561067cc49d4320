import DICOMCore
import ImagingGeometry

/// Writes a result as a series of secondary captures (PS3.3 A.8.1) for archives without SEG: each slice with its contours, legend,
/// orientation and warning, as a picture in RGB.
///
/// Each states the plane it shows (Image Plane, PS3.3 C.7.6.2, and Frame of Reference), which the note of PS3.3 A.8.1.3 foresees as an
/// extension: viewers sort the series and cross-reference it by that, and measure on it; those that do not know it show the pictures in
/// the order of their Instance Numbers, which are those of the slices.
public enum OverlayWriter {
    /// Makes the objects, all held at once: some 1.2 MB for a slice of 512 x 512.
    public static func make(_ contoured: ContouredSeries, _ options: CaptureOptions = .init()) throws -> [ResultObject] {
        var objects: [ResultObject] = []
        try make(contoured, options) { objects.append($0) }
        return objects
    }

    /// Makes the objects one at a time, in the order of the slices along their normal.
    ///
    /// - Throws: `nothingSegmented` when no structure has a mask; `cannotDraw` without the font; what `each` throws. Where slices are uneven or
    ///   lean, the source's files are read again, with `CTSeries.read`'s errors.
    public static func make(_ contoured: ContouredSeries, _ options: CaptureOptions = .init(), each: (ResultObject) throws -> Void) throws {
        try contoured.demandSegmented(for: "overlay series")
        let typeface = try Typeface(), header = try ResultHeader(.overlay, SOPClass.secondaryCaptureImageStorage, contoured, options)
        let layout = OverlayLayout(contoured, options, typeface), window = Window(options)
        let background = layout.background(options, header, typeface)
        let slices = options.slices == .all ? Array(0..<layout.grid.slices) : contouredSlices(contoured)
        let voxels = try contoured.series.sourceVoxels(), plane = layout.grid.columns * layout.grid.rows
        for (number, slice) in slices.enumerated() {
            let canvas = layout.draw(slice, grey: window.grey(voxels[slice * plane..<(slice + 1) * plane]), contoured, title: header.sourceTitle, background: background)
            let d = DataSet()
            try header.write(to: d)
            try header.writeCapture(to: d, canvas, width: layout.width, height: layout.height, type: "OVERLAY", description: "Contours over a windowed slice.")
            try writePlane(d, slice, layout, header)
            let frame = contoured.series.frames[slice], uid = header.uid("slice \(slice)")
            try d.set(.sopInstanceUID, uid)
            try d.set(.instanceNumber, slice + 1)
            try header.writeReferences(to: d, [frame], instances: [frame.instance], replaced: replaced(header, number, of: slices.count), sameGeometry: true)
            try each(ResultObject(dataSet: d, transferSyntax: .explicitVRLittleEndian, sopClassUID: header.sopClassUID, sopInstanceUID: uid,
                                  seriesInstanceUID: header.uid("series")))
        }
    }

    private static func contouredSlices(_ contoured: ContouredSeries) -> [Int] {
        let inUse = contoured.drawings.compactMap { $0.mask?.slicesInUse }
        return (0..<contoured.series.grid.slices).filter { slice in inUse.contains { $0[slice] } }
    }

    /// A share of the earlier series for each object, so that all of it is named without each naming all.
    private static func replaced(_ header: ResultHeader, _ number: Int, of count: Int) -> ArraySlice<ReplacedObject> {
        let earlier = header.allReplaced
        guard let last = earlier.indices.last else { return [] }
        return number == count - 1 ? earlier[min(number, last)...] : earlier[min(number, last)...min(number, last)]
    }

    private static func writePlane(_ d: DataSet, _ slice: Int, _ layout: OverlayLayout, _ header: ResultHeader) throws {
        let (position, spacing) = layout.plane(slice), a = layout.grid.columnIndexDirection, b = layout.grid.rowIndexDirection
        try d.set(.patientOrientation, [Orientation.letters(a), Orientation.letters(b)])
        try d.set(.imagePositionPatient, [position.x, position.y, position.z])
        try d.set(.imageOrientationPatient, [a.x, a.y, a.z, b.x, b.y, b.z])
        try d.set(.pixelSpacing, [spacing.y, spacing.x])
        try d.set(.sliceThickness, header.series.frames[slice].sliceThicknessMM.map { [$0] } ?? [])
    }
}
