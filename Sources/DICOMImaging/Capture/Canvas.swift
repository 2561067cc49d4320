import CCairo
import Foundation

/// What is drawn on: a picture of RGB pixels, or the pages of a PDF. Lengths are pixels or points (1/72 inch), from the top left. Not Sendable.
final class Canvas {
    /// sRGB, 0 to 255.
    typealias Color = SIMD3<UInt8>

    struct Rectangle: Hashable {
        var x, y, width, height: Double
        var maxX: Double { x + width }
        var maxY: Double { y + height }
    }

    enum Alignment { case left, center, right }

    private let surface, cairo: OpaquePointer
    /// Where the pages go; nil for a picture.
    private let pages: Pages?
    let typeface: Typeface

    /// A black picture.
    init(width: Int, height: Int, typeface: Typeface) {
        self.typeface = typeface
        pages = nil
        surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(clamping: width), Int32(clamping: height))
        cairo = cairo_create(surface)
        // Lines keep their exact colours.
        cairo_set_antialias(cairo, CAIRO_ANTIALIAS_NONE)
    }

    /// A PDF, its pages white. `created` is a date and time by ISO 8601: nothing in the file comes from the clock.
    init(pageSize: SIMD2<Double>, title: String, creator: String, created: String, typeface: Typeface) {
        self.typeface = typeface
        let pages = Pages()
        self.pages = pages
        surface = cairo_pdf_surface_create_for_stream({ closure, data, length in
            Unmanaged<Pages>.fromOpaque(closure!).takeUnretainedValue().bytes.append(contentsOf: UnsafeBufferPointer(start: data, count: Int(length)))
            return CAIRO_STATUS_SUCCESS
        }, Unmanaged.passUnretained(pages).toOpaque(), pageSize.x, pageSize.y)
        cairo_pdf_surface_restrict_to_version(surface, CAIRO_PDF_VERSION_1_5)
        for (key, value) in [(CAIRO_PDF_METADATA_TITLE, title), (CAIRO_PDF_METADATA_CREATOR, creator), (CAIRO_PDF_METADATA_CREATE_DATE, created)] {
            cairo_pdf_surface_set_metadata(surface, key, value)
        }
        cairo = cairo_create(surface)
    }

    deinit {
        cairo_destroy(cairo)
        cairo_surface_destroy(surface)
    }

    private final class Pages {
        var bytes: [UInt8] = []
    }

    // MARK: - Drawing

    func nextPage() { cairo_show_page(cairo) }

    /// Draws in units of `factor` pixels.
    func scale(_ factor: Double) { cairo_scale(cairo, factor, factor) }

    func fill(_ area: Rectangle, _ color: Color) {
        cairo_rectangle(cairo, area.x, area.y, area.width, area.height)
        use(color)
        cairo_fill(cairo)
    }

    func frame(_ area: Rectangle, _ color: Color, lineWidth: Double) {
        cairo_rectangle(cairo, area.x, area.y, area.width, area.height)
        use(color)
        cairo_set_line_width(cairo, lineWidth)
        cairo_stroke(cairo)
    }

    /// Draws a line of text; `at` is the left end, middle or right end of its base line. What is wider than `width` loses its middle,
    /// so that `..._L` stays what it is.
    func text(_ text: String, at: SIMD2<Double>, size: Double, bold: Bool = false, color: Color, align: Alignment = .left, width: Double = .infinity) {
        let face = bold ? typeface.bold : typeface.regular
        let shown = shortened(face.drawable(text), size: size, face: face, width: width)
        let length = face.width(of: shown) * size
        cairo_set_font_face(cairo, face.face)
        let options = cairo_font_options_create()
        defer { cairo_font_options_destroy(options) }
        cairo_scaled_font_get_font_options(face.unit, options)
        cairo_set_font_options(cairo, options)
        cairo_set_font_size(cairo, size)
        use(color)
        cairo_move_to(cairo, at.x - (align == .left ? 0 : align == .center ? length / 2 : length), at.y)
        cairo_show_text(cairo, shown)
        cairo_new_path(cairo)
    }

    func width(of text: String, size: Double, bold: Bool = false) -> Double {
        let face = bold ? typeface.bold : typeface.regular
        return face.width(of: face.drawable(text)) * size
    }

    /// The text in lines no wider than `width`, broken at spaces where there are any.
    func lines(_ text: String, size: Double, width: Double) -> [String] {
        var lines: [String] = [], line = ""
        for word in text.split(separator: " ") {
            let longer = line.isEmpty ? String(word) : "\(line) \(word)"
            if self.width(of: longer, size: size) <= width { line = longer; continue }
            if !line.isEmpty { lines.append(line) }
            line = ""
            for character in word {
                if !line.isEmpty, self.width(of: line + String(character), size: size) > width { lines.append(line); line = "" }
                line.append(character)
            }
        }
        return lines + [line]
    }

    private func shortened(_ text: String, size: Double, face: Typeface.Face, width: Double) -> String {
        guard face.width(of: text) * size > width else { return text }
        var kept = text.count - 1
        while kept > 1 {
            let shorter = text.prefix((kept + 1) / 2) + "…" + text.suffix(kept / 2)
            if face.width(of: String(shorter)) * size <= width { return String(shorter) }
            kept -= 1
        }
        return "…"
    }

    /// Draws grey levels, `columns` a row, into an area; `clip` is what may be seen of it. Pixels stay sharp where `smooth` is false.
    func draw(grey: [UInt8], columns: Int, in area: Rectangle, clip: Rectangle? = nil, smooth: Bool) {
        let rows = grey.count / columns
        let image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(columns), Int32(rows))
        defer { cairo_surface_destroy(image) }
        guard let data = cairo_image_surface_get_data(image) else { return }
        let stride = Int(cairo_image_surface_get_stride(image))
        cairo_surface_flush(image)
        for row in 0..<rows {
            let line = UnsafeMutableRawPointer(data + row * stride).assumingMemoryBound(to: UInt32.self)
            for column in 0..<columns { line[column] = UInt32(grey[row &* columns &+ column]) &* 0x010101 }
        }
        cairo_surface_mark_dirty(image)
        cairo_save(cairo)
        let clip = clip ?? area
        cairo_rectangle(cairo, clip.x, clip.y, clip.width, clip.height)
        cairo_clip(cairo)
        cairo_translate(cairo, area.x, area.y)
        cairo_scale(cairo, area.width / Double(columns), area.height / Double(rows))
        cairo_set_source_surface(cairo, image, 0, 0)
        let pattern = cairo_get_source(cairo)
        cairo_pattern_set_filter(pattern, smooth ? CAIRO_FILTER_BILINEAR : CAIRO_FILTER_NEAREST)
        cairo_pattern_set_extend(pattern, CAIRO_EXTEND_PAD)
        cairo_rectangle(cairo, 0, 0, Double(columns), Double(rows))
        cairo_fill(cairo)
        cairo_restore(cairo)
    }

    /// Draws closed lines; what lies beyond `clip` is not seen.
    func stroke(_ rings: [[SIMD2<Double>]], _ color: Color, lineWidth: Double, clip: Rectangle) {
        cairo_save(cairo)
        cairo_rectangle(cairo, clip.x, clip.y, clip.width, clip.height)
        cairo_clip(cairo)
        for ring in rings {
            guard let first = ring.first else { continue }
            cairo_move_to(cairo, first.x, first.y)
            for point in ring.dropFirst() { cairo_line_to(cairo, point.x, point.y) }
            cairo_close_path(cairo)
        }
        use(color)
        cairo_set_line_width(cairo, lineWidth)
        cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND)
        cairo_stroke(cairo)
        cairo_restore(cairo)
    }

    /// Copies another picture onto this one.
    func draw(_ other: Canvas) {
        cairo_surface_flush(other.surface)
        cairo_set_source_surface(cairo, other.surface, 0, 0)
        cairo_paint(cairo)
    }

    private func use(_ color: Color) {
        cairo_set_source_rgb(cairo, Double(color.x) / 255, Double(color.y) / 255, Double(color.z) / 255)
    }

    // MARK: - Taking

    /// The picture's pixels, red, green, blue, row by row.
    func rgb() throws(ImagingError) -> [UInt8] {
        cairo_surface_flush(surface)
        try check()
        guard let data = cairo_image_surface_get_data(surface) else { throw ImagingError(.cannotDraw, "A picture cannot be drawn: it has no pixels.") }
        let width = Int(cairo_image_surface_get_width(surface)), height = Int(cairo_image_surface_get_height(surface))
        let stride = Int(cairo_image_surface_get_stride(surface))
        return [UInt8](unsafeUninitializedCapacity: width * height * 3) { rgb, count in
            for row in 0..<height {
                let line = UnsafeRawPointer(data + row * stride).assumingMemoryBound(to: UInt32.self)
                var at = row * width * 3
                for column in 0..<width {
                    let pixel = line[column]
                    rgb[at] = UInt8(truncatingIfNeeded: pixel >> 16)
                    rgb[at &+ 1] = UInt8(truncatingIfNeeded: pixel >> 8)
                    rgb[at &+ 2] = UInt8(truncatingIfNeeded: pixel)
                    at &+= 3
                }
            }
            count = width * height * 3
        }
    }

    /// The picture as a PNG file's bytes.
    func png() throws(ImagingError) -> [UInt8] {
        let file = Pages()
        cairo_surface_write_to_png_stream(surface, { closure, data, length in
            Unmanaged<Pages>.fromOpaque(closure!).takeUnretainedValue().bytes.append(contentsOf: UnsafeBufferPointer(start: data, count: Int(length)))
            return CAIRO_STATUS_SUCCESS
        }, Unmanaged.passUnretained(file).toOpaque())
        try check()
        return file.bytes
    }

    /// The finished PDF file's bytes; nothing can be drawn any more.
    func pdf() throws(ImagingError) -> [UInt8] {
        try check()
        cairo_surface_finish(surface)
        try check()
        return pages?.bytes ?? []
    }

    private func check() throws(ImagingError) {
        for status in [cairo_status(cairo), cairo_surface_status(surface)] where status != CAIRO_STATUS_SUCCESS {
            throw ImagingError(.cannotDraw, "A picture or page cannot be drawn: \(String(cString: cairo_status_to_string(status))).")
        }
    }
}
