import DICOMCore
import Foundation
import ImagingGeometry

/// Writes a result as an RT Structure Set (PS3.3 A.19): closed planar contours, each on the plane of the source image it names.
///
/// Contours run half way between the centres of inside and outside pixels, or by the level of one half between them where
/// probabilities are known. A structure without contours keeps its ROI and observation, which state the reason, unless
/// `StructureSetOptions.emptyROIs` says otherwise; the structure set's description names it in any case.
public enum StructureSetWriter {
    /// ContourData longer than this cannot be told in explicit VR (PS3.5 7.1.2): the object then goes out in Implicit VR Little Endian.
    static let longestExplicitValue = 65_534
    /// Coordinates beyond this, in millimetres, are no patient's and would not fit a DS.
    static let farthestMM = 1e8

    /// Makes the object.
    ///
    /// ROIs are numbered 1... in the order of the structures, left out ones included.
    /// - Throws: `nothingSegmented` when no structure has a contour, `unsupported` when the options contradict the standard
    ///   (`StructureSetOptions.problems`) or the slices lie beyond `farthestMM`.
    public static func make(_ contoured: ContouredSeries, _ options: StructureSetOptions = .init()) throws -> ResultObject {
        try contoured.demandSegmented(for: "RTSTRUCT")
        let series = contoured.series
        guard options.problems.isEmpty else {
            throw ImagingError(.unsupported, "RTSTRUCT of series \(series.seriesInstanceUID): \(options.problems.joined(separator: "; ")).")
        }
        guard series.grid.originsLPS.allSatisfy({ max($0.max(), -$0.min()) < farthestMM }) else {
            throw ImagingError(.unsupported, "RTSTRUCT of series \(series.seriesInstanceUID): slices lie more than \(farthestMM) mm away.")
        }
        let header = ResultHeader(.structureSet, SOPClass.rtStructureSetStorage, contoured,
                                  variant: [try options.variant] + zip(contoured.segments, contoured.drawings).filter { $1.mask != nil }.map(\.0.name))
        let rois = StructureSetROI.all(of: contoured, options)
        guard rois.contains(where: { $0.absence == nil }) else {
            throw ImagingError(.nothingSegmented, "Series \(series.seriesInstanceUID): every structure is smaller than what the RTSTRUCT's options leave out.")
        }
        let d = DataSet()
        try header.write(to: d)
        try writeStructureSet(d, header, rois, options)
        var longest = try writeReferences(d, series)
        if let replaced = header.replaced {
            let item = try d.addItem(.predecessorStructureSetSequence)
            try item.set(.referencedSOPClassUID, replaced.sopClassUID)
            try item.set(.referencedSOPInstanceUID, replaced.sopInstanceUID)
        }
        for roi in rois where roi.absence == nil || options.emptyROIs {
            try writeROI(d, roi, header)
            if roi.absence == nil { longest = max(longest, try writeContours(d, roi, series)) }
            try writeObservation(d, roi)
        }
        return header.object(d, options.implicitVR || longest > longestExplicitValue ? .implicitVRLittleEndian : .explicitVRLittleEndian)
    }

    private static func writeStructureSet(_ d: DataSet, _ header: ResultHeader, _ rois: [StructureSetROI], _ options: StructureSetOptions) throws {
        let missing = rois.filter { $0.absence != nil }.map(\.name)
        try d.set(.structureSetLabel, header.label)
        try d.set(.structureSetName, header.title)
        try d.set(.structureSetDescription, plain(header.account
            + (header.replaced == nil ? "" : " Replaces an earlier structure set, its predecessor.")
            + (header.series.isLossy ? " Source images were compressed with loss." : "")
            + " \(StructureSetROI.account(of: rois, options, spacingMM: header.series.grid.pixelSpacingMM))"
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

    private static func writeROI(_ d: DataSet, _ roi: StructureSetROI, _ header: ResultHeader) throws {
        let item = try d.addItem(.structureSetROISequence)
        try item.set(.roiNumber, roi.number)
        try item.set(.referencedFrameOfReferenceUID, header.series.frameOfReferenceUID)
        try item.set(.roiName, roi.name)
        try item.set(.roiDescription, roi.remark)
        try item.set(.roiGenerationAlgorithm, header.author(of: roi.segment).method.rawValue)
        try item.set(.roiGenerationDescription, plain(roi.segment.author.map { $0.name ?? "Author not named" }
            ?? "\(ResultHeader.algorithm) \(header.context.softwareVersion)\(roi.segment.confidenceRemark); template set \(header.context.templateSet) \(header.context.templateSetVersion)", 64))
    }

    private static func writeObservation(_ d: DataSet, _ roi: StructureSetROI) throws {
        let observation = try d.addItem(.rtROIObservationsSequence)
        try observation.set(.observationNumber, roi.number)
        try observation.set(.referencedROINumber, roi.number)
        try observation.set(.roiObservationLabel, roi.label)
        try observation.set(.roiObservationDescription, roi.remark)
        try observation.set(.rtROIInterpretedType, roi.interpretedType)
        try observation.set(.roiInterpreter, "")
        try observation.set(.rtROIIdentificationCodeSequence, roi.segment.type)
        if let laterality = roi.segment.laterality {
            try observation.items(.rtROIIdentificationCodeSequence)[0].set(.segmentedPropertyTypeModifierCodeSequence, laterality)
        }
    }

    /// Returns the length of the longest ContourData.
    private static func writeContours(_ d: DataSet, _ roi: StructureSetROI, _ series: CTSeries) throws -> Int {
        let item = try d.addItem(.roiContourSequence)
        try item.set(.referencedROINumber, roi.number)
        try item.set(.roiDisplayColor, [Int(roi.color.x), Int(roi.color.y), Int(roi.color.z)])
        var longest = 0
        for (slice, contours) in roi.contours {
            for contour in contours {
                let c = try item.addItem(.contourSequence)
                _ = try c.addReference(.contourImageSequence, to: series.frames[slice])
                try c.set(.contourGeometricType, roi.contourType)
                try c.set(.numberOfContourPoints, contour.points)
                try c.set(.contourData, String(decoding: contour.bytes, as: UTF8.self))
                longest = max(longest, contour.bytes.count)
            }
        }
        return longest
    }
}
