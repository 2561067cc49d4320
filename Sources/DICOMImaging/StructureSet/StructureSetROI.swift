import Foundation
import ImagingGeometry

/// One structure as a structure set tells it: its names, its contours, and what was done to them.
struct StructureSetROI {
    let number: Int
    let segment: ResultSegment
    /// ROI Name and ROI Observation Label.
    let name, label: String
    let interpretedType: String
    let color: SIMD3<UInt8>
    /// Contour Geometric Type of all its contours.
    let contourType: String
    /// The slices that have contours, in order.
    let contours: [(slice: Int, contours: [ContourText])]
    /// Why there are none; nil where there are.
    let absence: String?
    /// How far its contours may leave the traced lines.
    let toleranceMM: Double
    let isSubpixel: Bool
    /// ROI Description.
    let remark: String

    /// The structures in their order, numbered from 1.
    static func all(of contoured: ContouredSeries, _ options: StructureSetOptions) -> [StructureSetROI] {
        let names = options.roiNames(of: contoured.segments.map(\.name))
        return contoured.segments.indices.map { n in
            StructureSetROI(number: n + 1, name: names[n], contoured.segments[n], contoured.drawings[n], options)
        }
    }

    private init(number: Int, name: String, _ segment: ResultSegment, _ drawing: ResultSegment.Drawing, _ options: StructureSetOptions) {
        (self.number, self.name, self.segment) = (number, name, segment)
        label = plain(options.labels[segment.name] ?? name, 16)
        interpretedType = options.interpretedTypes[segment.name] ?? options.interpretedType
        color = options.colors[segment.name] ?? segment.color
        guard let mask = drawing.mask else {
            (contours, contourType, toleranceMM, isSubpixel) = ([], "CLOSED_PLANAR", 0, false)
            absence = drawing.absence
            remark = plain("No contours: \(drawing.absence ?? "")", 1024)
            return
        }
        let likely = segment.probabilities.flatMap { $0.geometry == mask.grid.working ? mask.grid.sourceProbabilities($0, of: mask) : nil }
        let field = ContourField(mask, probabilities: likely, options)
        var shaper = ContourShaper(field, options)
        contours = (0..<mask.grid.slices).map { ($0, shaper.contours(slice: $0)) }.filter { !$1.isEmpty }
        contourType = options.holes == .xor && shaper.hasSeparateHoles ? "CLOSEDPLANAR_XOR" : "CLOSED_PLANAR"
        (toleranceMM, isSubpixel) = (shaper.toleranceMM, field.isSubpixel)
        absence = contours.isEmpty ? "smaller than what is left out" : nil
        remark = plain(absence.map { "No contours: \($0)" } ?? ([segment.remark] + Self.remarks(shaper.account, field)).joined(separator: "; "), 1024)
    }

    private static func remarks(_ account: ContourShaper.Account, _ field: ContourField) -> [String] {
        func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
        var remarks: [String] = []
        if field.piecesLeftOut > 0 { remarks.append("\(count(field.piecesLeftOut, "small piece")) left out") }
        if account.islandsLeftOut > 0 { remarks.append("\(count(account.islandsLeftOut, "small island")) left out") }
        if account.tooSmall > 0 { remarks.append("\(count(account.tooSmall, "contour")) too small to tell") }
        if account.raised > 0 { remarks.append("\(count(account.raised, "long contour")) simplified within \(millimeters(account.highestToleranceMM))") }
        if account.split > 0 { remarks.append("\(count(account.split, "long contour")) split") }
        return remarks
    }

    /// `0.35 mm`.
    private static func millimeters(_ value: Double) -> String { "\((value * 1000).rounded() / 1000) mm" }

    /// How the contours of a structure set were drawn, in sentences.
    static func account(of rois: [StructureSetROI], _ options: StructureSetOptions, spacingMM: SIMD2<Double>) -> String {
        let drawn = rois.filter { $0.absence == nil }
        func tolerance(_ isSubpixel: Bool) -> String { millimeters(ContourShaper.toleranceMM(options, isSubpixel: isSubpixel, spacingMM: spacingMM)) }
        var text = ""
        if drawn.contains(where: { !$0.isSubpixel }) {
            text += "Contours run half way between the centres of inside and outside pixels, simplified within \(tolerance(false)). "
        }
        if drawn.contains(where: \.isSubpixel) {
            text += "Contours of structures with probabilities run between pixels at one half, simplified within \(tolerance(true)). "
        }
        switch options.holes {
        case .keyhole: text += "Holes are joined by keyholes."
        case .xor: text += "Holes are told by CLOSEDPLANAR_XOR."
        case .separate: text += "Holes are contours of their own."
        case .ignore: text += "Holes are filled."
        }
        if options.smoothingMM > 0 { text += " Smoothed between slices, standard deviation \(millimeters(options.smoothingMM))." }
        if options.smallestPieceML > 0 { text += " Pieces under \(options.smallestPieceML) ml are left out." }
        if options.smallestIslandMM2 > 0 { text += " Islands under \(options.smallestIslandMM2) mm2 are left out." }
        return text
    }
}
