import CCairo
import Foundation

/// The font of captures and documents, DejaVu Sans, as its own files: what fontconfig would choose by name differs from machine to machine.
public struct Typeface {
    /// Where Debian's `fonts-dejavu-core`, then Fedora's and Arch's packages put the files.
    static let folders = ["/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/dejavu-sans-fonts", "/usr/share/fonts/TTF"]
    static let files = (regular: "DejaVuSans.ttf", bold: "DejaVuSans-Bold.ttf")

    /// The folder that holds the font.
    ///
    /// - Throws: `cannotDraw` where no folder does, so that nothing is ever drawn in another font, or none.
    public static func folder() throws(ImagingError) -> String { try folder(among: folders) }

    static func folder(among folders: [String]) throws(ImagingError) -> String {
        guard let folder = folders.first(where: { folder in
            [files.regular, files.bold].allSatisfy { FileManager.default.isReadableFile(atPath: "\(folder)/\($0)") }
        }) else {
            throw ImagingError(.cannotDraw, "The font DejaVu Sans (\(files.regular), \(files.bold)) is in none of \(folders.joined(separator: ", ")): "
                + "nothing can be drawn.")
        }
        return folder
    }

    let regular, bold: Face

    init() throws(ImagingError) {
        let folder = try Self.folder()
        regular = try Face(path: "\(folder)/\(Self.files.regular)")
        bold = try Face(path: "\(folder)/\(Self.files.bold)")
    }

    /// One of its files, with a font of unit size for measuring.
    final class Face {
        let face, unit: OpaquePointer

        init(path: String) throws(ImagingError) {
            let pattern = FcPatternCreate()
            defer { FcPatternDestroy(pattern) }
            FcPatternAddString(pattern, FC_FILE, path)
            FcPatternAddInteger(pattern, FC_INDEX, 0)
            face = cairo_ft_font_face_create_for_pattern(pattern)
            // Fixed, as the machine's own settings would change pictures: unhinted, so that pages and pictures are laid out alike.
            let options = cairo_font_options_create()
            defer { cairo_font_options_destroy(options) }
            cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY)
            cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE)
            cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF)
            var identity = cairo_matrix_t()
            cairo_matrix_init_identity(&identity)
            unit = cairo_scaled_font_create(face, &identity, &identity, options)
            guard cairo_scaled_font_status(unit) == CAIRO_STATUS_SUCCESS else {
                throw ImagingError(.cannotDraw, "The font \(path) cannot be read: \(String(cString: cairo_status_to_string(cairo_scaled_font_status(unit)))).")
            }
        }

        deinit {
            cairo_scaled_font_destroy(unit)
            cairo_font_face_destroy(face)
        }

        /// Width of a text at size 1.
        func width(of text: String) -> Double {
            var extents = cairo_text_extents_t()
            cairo_scaled_font_text_extents(unit, text, &extents)
            return extents.x_advance
        }

        /// The text as it can be drawn: a character that the font lacks, that is none, or that runs from right to left (which nothing here
        /// puts in order) is told by its code point, such as `<U+5DE6>`, so that two names never look alike.
        func drawable(_ text: String) -> String {
            text.precomposedStringWithCanonicalMapping.unicodeScalars.map { scalar in
                isDrawable(scalar) ? String(scalar) : "<U+" + String(repeating: "0", count: max(0, 4 - hex(scalar).count)) + hex(scalar) + ">"
            }.joined()
        }

        private func hex(_ scalar: Unicode.Scalar) -> String { String(scalar.value, radix: 16, uppercase: true) }

        private func isDrawable(_ scalar: Unicode.Scalar) -> Bool {
            if (0x20...0x7E).contains(scalar.value) { return true }
            // Letters, marks, numbers, punctuation, symbols; no controls, nothing invisible.
            switch scalar.properties.generalCategory {
            case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
            default: break
            }
            guard !Self.rightToLeft.contains(where: { $0.contains(scalar.value) }) else { return false }
            var glyphs: UnsafeMutablePointer<cairo_glyph_t>?
            var count: Int32 = 0
            guard cairo_scaled_font_text_to_glyphs(unit, 0, 0, String(scalar), -1, &glyphs, &count, nil, nil, nil) == CAIRO_STATUS_SUCCESS else { return false }
            defer { cairo_glyph_free(glyphs) }
            // Glyph 0 is the empty box.
            return count == 1 && glyphs?[0].index != 0
        }

        /// Blocks of scripts that run from right to left (Unicode's DerivedBidiClass: R and AL).
        private static let rightToLeft: [ClosedRange<UInt32>] = [0x0590...0x08FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF]
    }
}
