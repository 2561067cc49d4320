import ImagingGeometry

/// A slice with the outlines of several masks, to see where they differ. For people; no DICOM object is made of it.
public enum ComparisonPicture {
    /// A mask and the sRGB colour (0 to 255) of its outline.
    public typealias Outline = (mask: Mask, color: SIMD3<UInt8>)

    /// Space around the masks, and the smallest side shown, in millimetres.
    static let marginMM = 20.0, smallestSideMM = 100.0

    /// Draws the axial slice in which the masks differ most, zoomed to them, as a square PNG; nil where no mask holds anything.
    ///
    /// Nothing is written on it. Masks lie on the volume's grid; `size` is the picture's side in pixels. Throws `cannotDraw`.
    public static func png(_ volume: Volume, _ outlines: [Outline], size: Int = 320, _ options: CaptureOptions = .init()) throws(ImagingError) -> [UInt8]? {
        let section = Section.anatomical(volume.geometry).axial, masks = outlines.map(\.mask)
        guard let index = worst(masks, section.along), let (corner, count) = frame(masks, section) else { return nil }
        let canvas = Canvas(width: size, height: size, typeface: try Typeface())
        let mm = SIMD2<Double>(count) * section.spacingMM, scale = Double(size) / mm.max()
        let whole = Canvas.Rectangle(x: (Double(size) - mm.x * scale) / 2, y: (Double(size) - mm.y * scale) / 2, width: mm.x * scale, height: mm.y * scale)
        let plane = section.plane(index, of: volume.voxels, from: corner, size: count, outside: Int16(-1024))
        canvas.draw(grey: Window(options).grey(plane), columns: count.x, in: whole, smooth: true)
        for (mask, color) in outlines {
            let inside = section.plane(index, of: mask.voxels, from: corner, size: count, outside: UInt8(0))
            let rings = Contours.trace(inside[...], columns: count.x, rows: count.y).map { ring in
                ring.points.map { ($0 + 0.5) * section.spacingMM * scale + SIMD2(whole.x, whole.y) }
            }
            canvas.stroke(rings, color, lineWidth: Double(size) / 160, clip: whole)
        }
        return try canvas.png()
    }

    /// The plane with the most voxels that one mask has and another lacks, else the first with any; nil where all are empty.
    private static func worst(_ masks: [Mask], _ axis: Int) -> Int? {
        guard let first = masks.first else { return nil }
        let geometry = first.geometry
        var differing = [Int](repeating: 0, count: geometry.size[axis])
        for offset in first.voxels.indices {
            let inside = masks.count { $0.voxels[offset] != 0 }
            // Agreement counts so little that it decides among planes without a difference only.
            if inside > 0 { differing[geometry.index(atOffset: offset)[axis]] += inside < masks.count ? geometry.count : 1 }
        }
        return differing.contains { $0 > 0 } ? differing.indices.max { differing[$0] < differing[$1] } : nil
    }

    /// The part of the screen to show: first column and row, and how many.
    private static func frame(_ masks: [Mask], _ section: Section) -> (corner: SIMD2<Int>, size: SIMD2<Int>)? {
        let corners = masks.compactMap(\.boundingBox).flatMap { [section.screen($0.lower), section.screen($0.upper)] }
        guard let first = corners.first else { return nil }
        let low = corners.reduce(first) { pointwiseMin($0, $1) }, high = corners.reduce(first) { pointwiseMax($0, $1) }
        let extent = SIMD2<Double>(high &- low &+ 1) * section.spacingMM
        let side = max(extent.max() + 2 * marginMM, smallestSideMM)
        let size = SIMD2<Int>((SIMD2(repeating: side) / section.spacingMM).rounded(.up))
        return ((low &+ high &- size) / 2, size)
    }
}
