import Foundation
import ImagingGeometry

/// The sheet of a result: what was made by what, every structure with its state and measures, and three sections through each.
///
/// One layout in points serves both forms: the picture is one page as long as it must be, the document is cut into A4 pages.
struct SummarySheet {
    /// A4, and its margins, in points.
    static let page = SIMD2(595.28, 841.89), margin = 34.0
    /// Pixels of the picture an inch: 1240 across.
    static let resolution = 150.0
    /// A structure is shown with so much around it that its sections are at least this wide.
    static let leastFieldMM = 90.0, fieldShare = 1.5
    static let ink = Canvas.Color(20, 20, 20), faint = Canvas.Color(110, 110, 110), rule = Canvas.Color(200, 200, 200), alarm = OverlayLayout.alarm

    /// A part of the sheet that no page's end divides.
    private struct Block {
        let height: Double
        let draw: (Canvas, _ y: Double) -> Void
    }

    private let contoured: ContouredSeries
    private let header: ResultHeader
    private let options: CaptureOptions
    private let measures: [RegionMeasures?]
    private let masks: [Mask?]
    private let profiles: [StructureProfile?]
    private let typeface: Typeface

    init(_ contoured: ContouredSeries, _ options: CaptureOptions, _ header: ResultHeader) throws {
        self.contoured = contoured
        self.header = header
        self.options = options
        typeface = try Typeface()
        let series = contoured.series, voxels = try series.sourceVoxels()
        measures = contoured.drawings.map { $0.mask.map { RegionMeasures(of: $0, in: voxels) } }
        masks = contoured.drawings.map { $0.mask.map { series.grid.workingMask($0) } }
        profiles = masks.map { $0.map(StructureProfile.init) }
    }

    // MARK: - Forms

    /// The sheet as one picture.
    func picture() -> (canvas: Canvas, width: Int, height: Int) {
        // Measuring text needs a canvas.
        let parts = blocks(Canvas(width: 1, height: 1, typeface: typeface)), scale = Self.resolution / 72
        let length = Self.margin + Self.bannerHeight + parts.reduce(0) { $0 + $1.height } + Self.margin
        let width = Int((Self.page.x * scale).rounded(.down)), height = Int((length * scale).rounded(.up))
        let canvas = Canvas(width: width, height: height, typeface: typeface)
        canvas.scale(scale)
        canvas.fill(.init(x: 0, y: 0, width: Self.page.x + 1, height: length + 1), [255, 255, 255])
        drawBanner(canvas)
        var y = Self.margin + Self.bannerHeight
        for part in parts {
            part.draw(canvas, y)
            y += part.height
        }
        return (canvas, width, height)
    }

    /// The sheet as a PDF file's bytes.
    func document(title: String, created: String) throws -> [UInt8] {
        let canvas = Canvas(pageSize: Self.page, title: title, creator: "\(ResultHeader.modelName) \(header.context.softwareVersion)", created: created, typeface: typeface)
        let bottom = Self.page.y - Self.margin - 14
        var pages: [[(Block, Double)]] = [[]], y = Self.margin + Self.bannerHeight
        for part in blocks(canvas) {
            if y + part.height > bottom, !pages[pages.count - 1].isEmpty {
                pages.append([])
                y = Self.margin + Self.bannerHeight
            }
            pages[pages.count - 1].append((part, y))
            y += part.height
        }
        for (number, page) in pages.enumerated() {
            drawBanner(canvas)
            for (part, y) in page { part.draw(canvas, y) }
            canvas.text("Page \(number + 1) of \(pages.count)", at: [Self.page.x - Self.margin, Self.page.y - Self.margin], size: 7.5, color: Self.faint, align: .right)
            canvas.nextPage()
        }
        return try canvas.pdf()
    }

    // MARK: - Parts

    private static let bannerHeight = 34.0
    private static var content: Double { page.x - 2 * margin }

    private func drawBanner(_ canvas: Canvas) {
        canvas.fill(.init(x: Self.margin, y: Self.margin, width: Self.content, height: 24), Self.alarm)
        canvas.text(header.warning, at: [Self.page.x / 2, Self.margin + 16.5], size: 13, bold: true, color: [255, 255, 255], align: .center)
    }

    private func blocks(_ canvas: Canvas) -> [Block] {
        [heading(header.title, size: 15)] + facts(canvas) + [heading("Structures", size: 11)] + table(canvas)
            + (profiles.contains { $0 != nil } ? [heading("Sections through each structure", size: 11)] + sections() : [])
    }

    private func heading(_ text: String, size: Double) -> Block {
        Block(height: size * 1.9) { canvas, y in
            canvas.text(text, at: [Self.margin, y + size * 1.2], size: size, bold: true, color: Self.ink)
        }
    }

    private func facts(_ canvas: Canvas) -> [Block] {
        let series = contoured.series, grid = series.grid, context = header.context
        let spacing = grid.isRegular ? "every \(decimal(grid.working.spacingMM.z, 2)) mm" : "unevenly spaced or tilted"
        var facts = [
            ("Source", "\(header.sourceTitle): \(grid.slices) slices of \(grid.columns) × \(grid.rows), pixels of \(decimal(grid.pixelSpacingMM.x, 2)) × "
                + "\(decimal(grid.pixelSpacingMM.y, 2)) mm, \(spacing)" + (series.isLossy ? ", compressed with loss" : "")),
            ("Made", header.contentMoment(separator: " ") + (header.allReplaced.isEmpty ? "" : "; replaces an earlier result")),
            ("Software", "\(ResultHeader.modelName) \(context.softwareVersion)"),
        ]
        if let conversion = context.conversion { facts.append(("Masks", conversion.origin)) } else {
            facts.append(("Template set", "\(context.templateSet) version \(context.templateSetVersion)"))
            if !context.method.isEmpty { facts.append(("Method", context.method)) }
            facts += context.models.enumerated().map { ($0 == 0 ? "Models" : "", "\($1.name) \($1.version), SHA-256 \($1.digest.prefix(12))") }
        }
        facts.append(("Window", "centre \(decimal(options.windowCenter, 0)), width \(decimal(options.windowWidth, 0)) HU"))
        return facts.map { label, value in
            let lines = canvas.lines(value, size: 8.5, width: Self.content - 80)
            return Block(height: 12 * Double(lines.count)) { canvas, y in
                canvas.text(label, at: [Self.margin, y + 9], size: 8.5, color: Self.faint)
                for (n, line) in lines.enumerated() { canvas.text(line, at: [Self.margin + 80, y + 9 + 12 * Double(n)], size: 8.5, color: Self.ink) }
            }
        }
    }

    /// Where the table's columns begin, or for numbers end, from the left margin.
    private static let columns = (name: 14.0, state: 170.0, volume: 395.0, units: 462.0, confidence: content)

    private func table(_ canvas: Canvas) -> [Block] {
        let at = Self.columns, size = 8.5
        func row(_ y: Double, _ canvas: Canvas, _ numbers: [String], color: Canvas.Color, bold: Bool = false) {
            for (text, x) in zip(numbers, [at.volume, at.units, at.confidence]) {
                canvas.text(text, at: [Self.margin + x, y + 9], size: size, bold: bold, color: color, align: .right)
            }
        }
        let head = Block(height: 15) { canvas, y in
            canvas.text("Structure", at: [Self.margin + at.name, y + 9], size: size, bold: true, color: Self.ink)
            canvas.text("State", at: [Self.margin + at.state, y + 9], size: size, bold: true, color: Self.ink)
            row(y, canvas, ["Volume, ml", "Mean, HU", "Confidence"], color: Self.ink, bold: true)
            canvas.fill(.init(x: Self.margin, y: y + 12, width: Self.content, height: 0.5), Self.rule)
        }
        return [head] + contoured.segments.indices.map { index in
            let segment = contoured.segments[index], drawing = contoured.drawings[index]
            let names = canvas.lines(segment.name, size: size, width: at.state - at.name - 8)
            let states = canvas.lines(drawing.absence ?? (segment.isCutOff ? "segmented, cut off by the field of view" : "segmented"), size: size, width: at.volume - at.state - 55)
            let color = drawing.mask == nil ? Self.faint : Self.ink
            return Block(height: 12 * Double(max(names.count, states.count)) + 1) { canvas, y in
                let box = Canvas.Rectangle(x: Self.margin, y: y + 2, width: 9, height: 8)
                if drawing.mask == nil { canvas.frame(box, Self.faint, lineWidth: 0.5) } else { canvas.fill(box, segment.color) }
                for (n, line) in names.enumerated() { canvas.text(line, at: [Self.margin + at.name, y + 9 + 12 * Double(n)], size: size, color: color) }
                for (n, line) in states.enumerated() { canvas.text(line, at: [Self.margin + at.state, y + 9 + 12 * Double(n)], size: size, color: color) }
                row(y, canvas, [measures[index].map { decimal($0.volumeML, 1) } ?? "–", measures[index].map { decimal($0.mean, 0) } ?? "–",
                                segment.confidence.map { decimal($0, 2) } ?? "–"], color: color)
            }
        }
    }

    // MARK: - Sections

    /// Two structures side by side, three tiles each.
    private func sections() -> [Block] {
        let gap = 3.0, gutter = 13.0, width = (Self.content - gutter) / 2, tile = (width - 2 * gap) / 3
        let shown = profiles.indices.filter { profiles[$0]?.box != nil }
        return stride(from: 0, to: shown.count, by: 2).map { first in
            Block(height: tile + 24) { canvas, y in
                for (n, index) in shown[first..<min(first + 2, shown.count)].enumerated() {
                    let x = Self.margin + Double(n) * (width + gutter), segment = contoured.segments[index]
                    canvas.fill(.init(x: x, y: y + 4, width: 8, height: 8), segment.color)
                    canvas.text(segment.name, at: [x + 12, y + 11], size: 8.5, bold: true, color: Self.ink, width: width - 12)
                    for (n, (name, section)) in views.enumerated() {
                        draw(index, section, name, canvas, .init(x: x + Double(n) * (tile + gap), y: y + 15, width: tile, height: tile))
                    }
                }
            }
        }
    }

    private var views: [(String, Section)] {
        let sections = Section.anatomical(contoured.series.volume.geometry)
        return [("axial", sections.axial), ("coronal", sections.coronal), ("sagittal", sections.sagittal)]
    }

    /// The section through one structure that shows most of it, with all structures' contours, its own bold.
    private func draw(_ index: Int, _ section: Section, _ name: String, _ canvas: Canvas, _ tile: Canvas.Rectangle) {
        guard let profile = profiles[index], let box = profile.box else { return }
        let volume = contoured.series.volume, extent = SIMD3<Double>(box.size) * volume.geometry.spacingMM
        let field = max(Self.leastFieldMM, extent.max() * Self.fieldShare), point = field / tile.width
        let middle = SIMD2<Double>(section.screen(box.lower) &+ section.screen(box.upper)) / 2
        // A rim beyond what is seen, so that contours cut off by the tile's edge do not run along it.
        let half = (field / 2 / section.spacingMM).rounded(.up) + 2
        let corner = SIMD2<Int>((middle - half).rounded(.down)), size = SIMD2<Int>(half) &* 2 &+ 1
        let plane = profile.fullest(section.along)
        let scale = section.spacingMM / point, centre = SIMD2(tile.x + tile.width / 2, tile.y + tile.height / 2)
        let origin = centre + (SIMD2<Double>(corner) - 0.5 - middle) * scale
        let grey = Window(options).grey(section.plane(plane, of: volume.voxels, from: corner, size: size, outside: Int16(HounsfieldScale.floorHU)))
        canvas.fill(tile, [0, 0, 0])
        canvas.draw(grey: grey, columns: size.x, in: .init(x: origin.x, y: origin.y, width: Double(size.x) * scale.x, height: Double(size.y) * scale.y), clip: tile, smooth: true)
        // Its own contour last, on top.
        for other in contoured.segments.indices.filter({ $0 != index }) + [index] {
            guard let mask = masks[other], let reach = profiles[other]?.box, (reach.lower[section.along]...reach.upper[section.along]).contains(plane) else { continue }
            let pixels = section.plane(plane, of: mask.voxels, from: corner, size: size, outside: 0)
            let rings = Contours.trace(pixels[...], columns: size.x, rows: size.y).map { $0.points.map { origin + ($0 + 0.5) * scale } }
            canvas.stroke(rings, contoured.segments[other].color, lineWidth: other == index ? 1 : 0.5, clip: tile)
        }
        drawLetters(section, "\(name) \(plane + 1)", canvas, tile)
    }

    private func drawLetters(_ section: Section, _ caption: String, _ canvas: Canvas, _ tile: Canvas.Rectangle) {
        let middle = SIMD2(tile.x + tile.width / 2, tile.y + tile.height / 2)
        for (text, at, align, size): (String, SIMD2<Double>, Canvas.Alignment, Double) in [
            (Orientation.letters(-section.right), [tile.x + 2, middle.y + 2], .left, 6.5),
            (Orientation.letters(section.right), [tile.maxX - 2, middle.y + 2], .right, 6.5),
            (Orientation.letters(-section.bottom), [middle.x, tile.y + 7], .center, 6.5),
            (Orientation.letters(section.bottom), [middle.x, tile.maxY - 2], .center, 6.5),
            (caption, [tile.x + 2, tile.maxY - 2], .left, 5),
        ] {
            // On a ground of its own: slices are as bright as they like.
            let width = canvas.width(of: text, size: size, bold: true), left = at.x - (align == .left ? 0 : align == .center ? width / 2 : width)
            canvas.fill(.init(x: left - 1, y: at.y - size * 0.85, width: width + 2, height: size * 1.05), [0, 0, 0])
            canvas.text(text, at: at, size: size, bold: true, color: OverlayLayout.letters, align: align)
        }
    }
}
