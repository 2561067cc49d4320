import ImagingGeometry

/// A picture of a result for people: CT slices with the structures' outlines.
public enum OverlayMontage {
    /// Soft-tissue window in Hounsfield units.
    static let windowCenter = 40.0, windowWidth = 400.0
    /// How much is shown around the structures.
    static let marginMM = 25.0
    /// Grey levels and, after them in the palette, outline colours.
    static let greys = 128

    /// Draws twelve axial, two coronal and two sagittal slices through the structures, as a PNG file's bytes.
    ///
    /// Four by four tiles of `tileSize` pixels, square in millimetres, from the top left: evenly chosen axial slices as stored, the
    /// uppermost first; then the coronal and sagittal slices that cut most structures, with the patient's head up. Without
    /// structures the whole volume is shown.
    public static func png(volume: Volume, segments: [ResultSegment], tileSize: Int = 320) -> [UInt8] {
        let drawn = segments.filter { $0.state == .segmented && $0.mask?.geometry == volume.geometry }
        let geometry = volume.geometry, whole = VoxelBox(lower: .zero, upper: geometry.size &- 1)
        let boxes = drawn.compactMap { $0.mask?.boundingBox }
        let structures = boxes.reduce(boxes.first) { VoxelBox(lower: pointwiseMin($0!.lower, $1.lower), upper: pointwiseMax($0!.upper, $1.upper)) }
        let margin = SIMD3<Int>((SIMD3(repeating: marginMM) / geometry.spacingMM).rounded(.up))
        let shown = structures?.grown(by: margin, within: geometry) ?? whole
        let tiles = planes(through: boxes, within: structures ?? whole, headUp: geometry.sliceIndexDirection.z >= 0)
        let columns = 4, rows = 4
        var picture = [UInt8](repeating: 0, count: columns * rows * tileSize * tileSize)
        for (number, plane) in tiles.enumerated() {
            let tile = Tile(plane: plane, box: shown, geometry: geometry, size: tileSize)
            tile.draw(volume: volume, segments: drawn) { x, y, index in
                picture[(number / columns * tileSize + y) * columns * tileSize + number % columns * tileSize + x] = index
            }
        }
        let palette = (0..<greys).map { SIMD3(repeating: UInt8($0 * 255 / (greys - 1))) } + drawn.prefix(256 - greys).map(\.color)
        return PNG.encode(picture, width: columns * tileSize, height: rows * tileSize, palette: palette)
    }

    private static func planes(through structures: [VoxelBox], within box: VoxelBox, headUp: Bool) -> [Plane] {
        /// The middles of equal parts of the box; or the slice of each part that cuts most structures, the nearest to its middle.
        func spread(_ count: Int, _ axis: Int, fullest: Bool) -> [Int] {
            (0..<count).map { n in
                let start = box.lower[axis] + n * box.size[axis] / count, end = box.lower[axis] + (n + 1) * box.size[axis] / count
                let middle = (start + end) / 2
                guard fullest, start < end else { return middle }
                let cut = { (index: Int) in structures.count { ($0.lower[axis]...$0.upper[axis]).contains(index) } }
                return (start..<end).max { (cut($0), -abs($0 - middle)) < (cut($1), -abs($1 - middle)) }!
            }
        }
        let axial = spread(12, 2, fullest: false)
        return (headUp ? axial.reversed() : axial).map { Plane(across: 0, down: 1, along: 2, index: $0, upsideDown: false) }
            + spread(2, 1, fullest: true).map { Plane(across: 0, down: 2, along: 1, index: $0, upsideDown: headUp) }
            + spread(2, 0, fullest: true).map { Plane(across: 1, down: 2, along: 0, index: $0, upsideDown: headUp) }
    }
}

/// A plane of the volume: its axes on the screen, and which one it is.
private struct Plane {
    let across, down, along, index: Int
    /// Whether the index grows upwards on the screen.
    let upsideDown: Bool
}

/// Part of a plane on square pixels.
private struct Tile {
    let plane: Plane
    let size: Int
    /// For each screen column or row the continuous index it shows; nil beyond the volume.
    let columns, rows: [Double?]

    init(plane: Plane, box: VoxelBox, geometry: VolumeGeometry, size: Int) {
        let spacing = geometry.spacingMM
        let extent = SIMD3<Double>(box.size) * spacing
        let pixel = max(extent[plane.across], extent[plane.down]) / Double(size)
        func indices(_ axis: Int, flipped: Bool) -> [Double?] {
            let middle = Double(box.lower[axis] + box.upper[axis]) / 2, last = Double(geometry.size[axis]) - 0.5
            return (0..<size).map { n in
                let offset = (Double(n) + 0.5 - Double(size) / 2) * pixel / spacing[axis]
                let index = flipped ? middle - offset : middle + offset
                return index >= -0.5 && index < last ? index : nil
            }
        }
        self.plane = plane
        self.size = size
        columns = indices(plane.across, flipped: false)
        rows = indices(plane.down, flipped: plane.upsideDown)
    }

    /// Calls `set` with x, y and palette index of every pixel.
    func draw(volume: Volume, segments: [ResultSegment], set: (Int, Int, UInt8) -> Void) {
        let step = [1, volume.geometry.size.x, volume.geometry.size.x * volume.geometry.size.y]
        let start = plane.index * step[plane.along], acrossStep = step[plane.across], downStep = step[plane.down]
        let acrossLast = volume.geometry.size[plane.across] - 1, downLast = volume.geometry.size[plane.down] - 1
        for (y, row) in rows.enumerated() {
            for (x, column) in columns.enumerated() {
                guard let row, let column else { continue }
                // Bilinear, the rim repeated.
                let c = min(max(column, 0), Double(acrossLast)), r = min(max(row, 0), Double(downLast))
                let c0 = Int(c), r0 = Int(r), c1 = min(c0 + 1, acrossLast), r1 = min(r0 + 1, downLast)
                let value = { (c: Int, r: Int) in Double(volume.voxels[start + c * acrossStep + r * downStep]) }
                let fc = c - Double(c0), fr = r - Double(r0)
                let hu = (value(c0, r0) * (1 - fc) + value(c1, r0) * fc) * (1 - fr) + (value(c0, r1) * (1 - fc) + value(c1, r1) * fc) * fr
                let grey = ((hu - OverlayMontage.windowCenter) / OverlayMontage.windowWidth + 0.5) * Double(OverlayMontage.greys - 1)
                set(x, y, UInt8(min(max(grey.rounded(), 0), Double(OverlayMontage.greys - 1))))
            }
        }
        for (number, segment) in segments.enumerated() {
            let mask = segment.mask!
            let inside = rows.map { row in
                columns.map { column in
                    guard let row, let column else { return false }
                    return mask.voxels[start + Int(column.rounded()) * acrossStep + Int(row.rounded()) * downStep] != 0
                }
            }
            let holds = { (x: Int, y: Int) in (0..<size).contains(x) && (0..<size).contains(y) && inside[y][x] }
            for y in 0..<size {
                for x in 0..<size where inside[y][x] && !(holds(x - 1, y) && holds(x + 1, y) && holds(x, y - 1) && holds(x, y + 1)) {
                    set(x, y, UInt8(OverlayMontage.greys + number % (256 - OverlayMontage.greys)))
                }
            }
        }
    }
}
