import Foundation
import ImagingGeometry

/// How slices with their contours are laid out: the slice between its orientation letters, at its right the legend, below it the warning.
/// Nothing is written on the slice itself.
struct OverlayLayout {
    /// The longest side of a slice in a picture: oblong pixels can stretch one beyond what an archive's viewer holds.
    static let longestSide = 4096.0
    static let background = Canvas.Color(0, 0, 0), foreground = Canvas.Color(225, 225, 225), faint = Canvas.Color(150, 150, 150)
    static let letters = Canvas.Color(255, 235, 59), alarm = Canvas.Color(183, 28, 28)

    let grid: SourceGrid
    /// Where the slice stands; a source pixel is `pixel` pixels of the picture wide and high.
    let slice: Canvas.Rectangle
    let pixel: SIMD2<Double>
    /// Pixels that text of one unit is high, so that larger slices have larger text.
    let unit: Double
    /// Of contours: a source pixel wide where that is neither too thin to see nor thick enough to hide what it bounds.
    private var lineWidth: Double { min(max(unit, pixel.min()), 2 * unit).rounded() }
    let width, height: Int
    private let legend: [(name: String, remark: String, color: Canvas.Color?)]
    private let rowHeight, panelX: Double

    init(_ contoured: ContouredSeries, _ options: CaptureOptions, _ typeface: Typeface) {
        grid = contoured.series.grid
        // Square pixels in the picture: many viewers and all exports ignore an aspect ratio.
        let square = SIMD2(Double(grid.columns), Double(grid.rows)) * grid.pixelSpacingMM / grid.pixelSpacingMM.min()
        let factor = min(max((Double(options.size) / square.max()).rounded(.up), 1), max(Self.longestSide / square.max(), Double.leastNonzeroMagnitude))
        let size = SIMD2(max(1, (square.x * factor).rounded()), max(1, (square.y * factor).rounded()))
        pixel = size / SIMD2(Double(grid.columns), Double(grid.rows))
        unit = max(1, (size.max() / 512).rounded(.down))
        let margin = 18 * unit
        slice = Canvas.Rectangle(x: margin, y: margin, width: size.x, height: size.y)
        legend = zip(contoured.segments, contoured.drawings).map { segment, drawing in
            guard let mask = drawing.mask else { return (segment.name, String(drawing.absence!.prefix { $0 != ":" }), nil) }
            return (segment.name, "\(decimal(mask.volumeML, 1)) ml", segment.color)
        }
        let longest = 11 * unit * (legend.map { typeface.regular.width(of: typeface.regular.drawable($0.name)) + typeface.regular.width(of: $0.remark) }.max() ?? 0)
        rowHeight = min(16 * unit, max(10.5 * unit, (size.y - 76 * unit) / Double(max(legend.count, 1))))
        panelX = slice.maxX + margin + 6 * unit
        let panelWidth = min(max(longest + 34 * unit, 190 * unit), 300 * unit)
        width = Int(panelX + panelWidth + 6 * unit)
        height = Int(max(slice.maxY, slice.y + 76 * unit + rowHeight * Double(legend.count)) + margin + 26 * unit)
    }

    /// What all pictures have in common.
    func background(_ options: CaptureOptions, _ header: ResultHeader, _ typeface: Typeface) -> Canvas {
        let canvas = Canvas(width: width, height: height, typeface: typeface), right = Double(width) - 6 * unit
        let a = grid.columnIndexDirection, b = grid.rowIndexDirection, gap = 4 * unit, size = 12 * unit
        let middle = SIMD2(slice.x + slice.width / 2, slice.y + slice.height / 2)
        for (letters, at, align): (String, SIMD2<Double>, Canvas.Alignment) in [
            (Orientation.letters(-a), [slice.x - gap, middle.y + size / 3], .right), (Orientation.letters(a), [slice.maxX + gap, middle.y + size / 3], .left),
            (Orientation.letters(-b), [middle.x, slice.y - gap], .center), (Orientation.letters(b), [middle.x, slice.maxY + gap + size * 0.75], .center),
        ] { canvas.text(letters, at: at, size: letters.count > 1 ? size * 0.6 : size, bold: true, color: Self.letters, align: align) }
        canvas.text("Window centre \(decimal(options.windowCenter, 0)), width \(decimal(options.windowWidth, 0)) HU", at: [panelX, slice.y + 42 * unit],
                    size: 10 * unit, color: Self.foreground, width: right - panelX)
        for (index, entry) in legend.enumerated() {
            let base = slice.y + 60 * unit + rowHeight * (Double(index) + 0.75)
            let text = min(11 * unit, rowHeight * 0.78), box = Canvas.Rectangle(x: panelX, y: base - 8 * unit, width: 10 * unit, height: 8 * unit)
            if let color = entry.color { canvas.fill(box, color) } else { canvas.frame(box, Self.faint, lineWidth: unit) }
            let remark = canvas.width(of: entry.remark, size: text)
            canvas.text(entry.name, at: [panelX + 16 * unit, base], size: text, color: entry.color == nil ? Self.faint : Self.foreground,
                        width: right - panelX - 24 * unit - remark)
            canvas.text(entry.remark, at: [right, base], size: text, color: entry.color == nil ? Self.faint : Self.foreground, align: .right)
        }
        drawWarning(on: canvas, header.warning)
        return canvas
    }

    private func drawWarning(on canvas: Canvas, _ warning: String) {
        let strip = Canvas.Rectangle(x: 0, y: Double(height) - 26 * unit, width: Double(width), height: 26 * unit)
        canvas.fill(strip, Self.alarm)
        let size = min(15 * unit, 0.95 * strip.width / canvas.width(of: warning, size: 1, bold: true))
        canvas.text(warning, at: [strip.width / 2, strip.y + strip.height / 2 + size * 0.36], size: size, bold: true, color: [255, 255, 255], align: .center)
    }

    /// Adds a slice to a copy of the background.
    func draw(_ number: Int, grey: [UInt8], _ contoured: ContouredSeries, title: String, background: Canvas) -> Canvas {
        let canvas = Canvas(width: width, height: height, typeface: background.typeface), right = Double(width) - 6 * unit
        canvas.draw(background)
        canvas.draw(grey: grey, columns: grid.columns, in: slice, smooth: pixel != [1, 1])
        for (segment, drawing) in zip(contoured.segments, contoured.drawings) {
            guard let mask = drawing.mask else { continue }
            let rings = Contours.trace(mask.voxels[mask.range(ofSlice: number)], columns: grid.columns, rows: grid.rows)
            canvas.stroke(rings.map { $0.points.map { ($0 + 0.5) * pixel + SIMD2(slice.x, slice.y) } }, segment.color, lineWidth: lineWidth, clip: slice)
        }
        canvas.text(title, at: [panelX, slice.y + 11 * unit], size: 11 * unit, bold: true, color: Self.foreground, width: right - panelX)
        canvas.text("Slice \(number + 1) of \(grid.slices)", at: [panelX, slice.y + 27 * unit], size: 11 * unit, color: Self.foreground, width: right - panelX)
        return canvas
    }

    /// The plane of the picture: patient position of its first pixel's centre, and its pixel spacing.
    func plane(_ number: Int) -> (positionLPS: SIMD3<Double>, spacingMM: SIMD2<Double>) {
        // Picture pixel x shows source index (x + 0.5 - slice.x) / pixel - 0.5.
        let first = (0.5 - SIMD2(slice.x, slice.y)) / pixel - 0.5
        return (grid.pixelToPatient(first, slice: number), grid.pixelSpacingMM / pixel)
    }
}

/// A number with so many decimals, whatever the locale.
func decimal(_ value: Double, _ decimals: Int) -> String {
    let factor = pow(10, Double(decimals)), scaled = (value * factor).rounded() + 0
    guard scaled.magnitude < 1e15 else { return "\(value)" }
    let whole = Int(scaled.magnitude), unit = Int(factor)
    let fraction = decimals == 0 ? "" : "." + String(whole % unit + unit).dropFirst()
    return (scaled < 0 ? "-" : "") + "\(whole / unit)" + fraction
}
