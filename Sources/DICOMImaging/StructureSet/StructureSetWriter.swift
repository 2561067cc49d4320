import DICOMCore
import Foundation
import ImagingGeometry

/// Writes a result as an RT Structure Set (PS3.3 A.19): closed planar contours, each on the plane of the source image it names.
///
/// Contours run half way between the centres of inside and outside pixels, simplified only so far that the pixels whose centres lie
/// inside stay the very same. A structure without a mask keeps its ROI and observation, which state the reason,
/// but has no contours; the structure set's description names it too.
public enum StructureSetWriter {
    /// ContourData longer than this cannot be told in explicit VR (PS3.5 7.1.2): the object then goes out in Implicit VR Little Endian.
    static let longestExplicitValue = 65_534

    /// Makes the object.
    ///
    /// ROIs are numbered 1... in the order of the structures.
    /// - Throws: `nothingSegmented` when no structure has a mask.
    public static func make(_ contoured: ContouredSeries, _ options: StructureSetOptions = .init()) throws -> ResultObject {
        try contoured.demandSegmented(for: "RTSTRUCT")
        let segments = contoured.segments, drawings = contoured.drawings, series = contoured.series
        let header = ResultHeader(.structureSet, SOPClass.rtStructureSetStorage, contoured,
                                  variant: [options.holes.rawValue] + zip(segments, drawings).filter { $1.mask != nil }.map(\.0.name))
        let d = DataSet()
        try header.write(to: d)
        try writeStructureSet(d, header, missing: zip(segments, drawings).filter { $1.mask == nil }.map(\.0.name))
        var longest = try writeReferences(d, series)
        if let replaced = header.replaced {
            let item = try d.addItem(.predecessorStructureSetSequence)
            try item.set(.referencedSOPClassUID, replaced.sopClassUID)
            try item.set(.referencedSOPInstanceUID, replaced.sopInstanceUID)
        }
        for (index, (segment, drawing)) in zip(segments, drawings).enumerated() {
            try writeROI(d, number: index + 1, segment, drawing.absence, header)
            if let mask = drawing.mask { longest = max(longest, try writeContours(d, number: index + 1, segment.color, mask, series, options.holes)) }
            try writeObservation(d, number: index + 1, segment, drawing.absence)
        }
        return header.object(d, longest > longestExplicitValue ? .implicitVRLittleEndian : .explicitVRLittleEndian)
    }

    private static func writeStructureSet(_ d: DataSet, _ header: ResultHeader, missing: [String]) throws {
        try d.set(.structureSetLabel, header.label)
        try d.set(.structureSetName, header.title)
        try d.set(.structureSetDescription, plain(header.account
            + (header.replaced == nil ? "" : " Replaces an earlier structure set, its predecessor.")
            + (header.series.isLossy ? " Source images were compressed with loss." : "")
            + (missing.isEmpty ? "" : " Without contours: \(missing.joined(separator: ", "))."), 1024))
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .structureSetDate, time: .structureSetTime)
        // No person made, or has seen, it.
        try d.set(.operatorsName, "")
        try d.set(.approvalStatus, "UNAPPROVED")
    }

    /// Returns the length of the longest Referenced Frame Number.
    private static func writeReferences(_ d: DataSet, _ series: CTSeries) throws -> Int {
        let frame = try d.addItem(.referencedFrameOfReferenceSequence)
        try frame.set(.frameOfReferenceUID, series.frameOfReferenceUID)
        let study = try frame.addItem(.rtReferencedStudySequence)
        // The retired Detached Study Management class: PS3.3 still asks for a class here, and readers know this one.
        try study.set(.referencedSOPClassUID, "1.2.840.10008.3.1.2.3.1")
        try study.set(.referencedSOPInstanceUID, series.studyInstanceUID)
        let images = try study.addItem(.rtReferencedSeriesSequence)
        try images.set(.seriesInstanceUID, series.seriesInstanceUID)
        let numbers = Dictionary(grouping: series.frames, by: \.instance).mapValues { $0.compactMap(\.number).sorted() }
        var longest = 0
        for instance in series.instances {
            let item = try images.addReference(.contourImageSequence, to: instance)
            guard let frames = numbers[instance], !frames.isEmpty else { continue }
            // A multi-frame image may hold more than this stack.
            let text = frames.map(String.init).joined(separator: "\\")
            try item.set(.referencedFrameNumber, text)
            longest = max(longest, text.utf8.count)
        }
        return longest
    }

    private static func writeROI(_ d: DataSet, number: Int, _ segment: ResultSegment, _ absence: String?, _ header: ResultHeader) throws {
        let roi = try d.addItem(.structureSetROISequence)
        try roi.set(.roiNumber, number)
        try roi.set(.referencedFrameOfReferenceUID, header.series.frameOfReferenceUID)
        try roi.set(.roiName, plain(segment.name, 64))
        try roi.set(.roiDescription, plain(absence.map { "No contours: \($0)" } ?? segment.remark, 1024))
        try roi.set(.roiGenerationAlgorithm, header.author(of: segment).method.rawValue)
        try roi.set(.roiGenerationDescription, plain(segment.author.map { $0.name ?? "Author not named" } ?? "\(ResultHeader.algorithm) \(header.context.softwareVersion), "
            + "template set \(header.context.templateSet) \(header.context.templateSetVersion)", 64))
    }

    private static func writeObservation(_ d: DataSet, number: Int, _ segment: ResultSegment, _ absence: String?) throws {
        let observation = try d.addItem(.rtROIObservationsSequence)
        try observation.set(.observationNumber, number)
        try observation.set(.referencedROINumber, number)
        try observation.set(.roiObservationLabel, plain(segment.name, 16))
        try observation.set(.roiObservationDescription, plain(absence.map { "No contours: \($0)" } ?? segment.remark, 1024))
        try observation.set(.rtROIInterpretedType, "ORGAN")
        try observation.set(.roiInterpreter, "")
        try observation.set(.rtROIIdentificationCodeSequence, segment.type)
        if let laterality = segment.laterality {
            try observation.items(.rtROIIdentificationCodeSequence)[0].set(.segmentedPropertyTypeModifierCodeSequence, laterality)
        }
    }

    /// Returns the length of the longest ContourData.
    private static func writeContours(_ d: DataSet, number: Int, _ color: SIMD3<UInt8>, _ mask: SourceMask, _ series: CTSeries, _ holes: StructureSetOptions.Holes) throws -> Int {
        let item = try d.addItem(.roiContourSequence)
        try item.set(.referencedROINumber, number)
        try item.set(.roiDisplayColor, [Int(color.x), Int(color.y), Int(color.z)])
        let grid = mask.grid, spacing = grid.pixelSpacingMM
        var longest = 0
        for slice in 0..<grid.slices {
            let rings = Contours.simplified(Contours.trace(mask.voxels[mask.range(ofSlice: slice)], columns: grid.columns, rows: grid.rows),
                                            toleranceMM: Contours.harmlessToleranceMM(spacingMM: spacing), spacingMM: spacing)
            for contour in holes == .keyhole ? Contours.keyholed(rings) : rings {
                let c = try item.addItem(.contourSequence)
                _ = try c.addReference(.contourImageSequence, to: series.frames[slice])
                try c.set(.contourGeometricType, "CLOSED_PLANAR")
                try c.set(.numberOfContourPoints, contour.points.count)
                let data = contourData(contour, slice: slice, grid: grid)
                try c.set(.contourData, data)
                longest = max(longest, data.utf8.count)
            }
        }
        return longest
    }

    /// Patient coordinates with three decimals, each well under the 16 characters of a DS.
    private static func contourData(_ contour: Contour, slice: Int, grid: SourceGrid) -> String {
        contour.points.map { point in
            let p = grid.pixelToPatient(point, slice: slice)
            return "\(fixed(p.x))\\\(fixed(p.y))\\\(fixed(p.z))"
        }.joined(separator: "\\")
    }

    /// `-12.345`: what a format string would give, but without its locale and at a tenth of its cost.
    static func fixed(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        let digits = String(abs(thousandths) % 1000 + 1000).dropFirst()
        return (thousandths < 0 ? "-" : "") + String(abs(thousandths) / 1000) + "." + digits
    }
}
