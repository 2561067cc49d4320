import DICOMCore
import Foundation
import ImagingGeometry

/// Writes a result as an Imaging Measurement Report (PS3.16 TID 1500) in a Comprehensive 3D SR (PS3.3 A.35.13).
///
/// Every structure asked for has a measurement group with its state, and the reason where there is no contour. One that is a segment of
/// the given SEG is measured by TID 1411, which demands a region to refer to; all others by TID 1501, which demands none.
public enum MeasurementWriter {
    /// Decimals of what is reported: a cubic millimetre, a hundredth of a Hounsfield unit or of confidence.
    static let volumeDecimals = 3, attenuationDecimals = 2, confidenceDecimals = 2

    /// Makes the object in Explicit VR Little Endian.
    ///
    /// `segmentation` is the SEG of the same result that goes to the same destination; nil where none does.
    /// - Throws: `nothingSegmented` when no structure was asked for; as `CTSeries.read` where slices that are tilted or uneven
    ///   cannot be read once more.
    public static func make(_ contoured: ContouredSeries, _ options: MeasurementOptions = .init(), segmentation: ResultObject?) throws -> ResultObject {
        guard !contoured.segments.isEmpty else {
            throw ImagingError(.nothingSegmented, "Series \(contoured.series.seriesInstanceUID): no structure was asked for, so there is nothing to report.")
        }
        let header = ResultHeader(.measurements, SOPClass.comprehensive3DSRStorage, contoured, variant: try variant(contoured, options, segmentation))
        let d = DataSet()
        try header.write(to: d)
        try writeDocument(d, header, segmentation)
        let root = try ContentItem(root: d, ReportConcept.imagingMeasurementReport, template: "1500")
        try writeContext(root, header)
        if options.imageLibrary { try writeLibrary(root, header.series) }
        let groups = try root.container(ReportConcept.imagingMeasurements)
        let voxels = contoured.drawings.contains { $0.mask != nil } ? try header.series.sourceVoxels() : []
        for (segment, drawing) in zip(contoured.segments, contoured.drawings) {
            let measures = drawing.mask.map { RegionMeasures(of: $0, in: voxels) }
            try writeGroup(groups, segment, drawing.absence, measures, options, segmentation, header)
        }
        return header.object(d, .explicitVRLittleEndian)
    }

    private static func variant(_ contoured: ContouredSeries, _ options: MeasurementOptions, _ segmentation: ResultObject?) throws -> [String] {
        [try stable(options), segmentation?.sopInstanceUID.string ?? ""]
            + zip(contoured.segments, contoured.drawings).filter { $1.mask != nil }.map(\.0.name)
    }

    // MARK: - Modules

    /// SR Document Series and SR Document General (PS3.3 C.17.1, C.17.2).
    private static func writeDocument(_ d: DataSet, _ header: ResultHeader, _ segmentation: ResultObject?) throws {
        // A document lies in no frame of reference; its content items name theirs.
        d.remove(.frameOfReferenceUID)
        d.remove(.positionReferenceIndicator)
        try d.set(.referencedPerformedProcedureStepSequence, "")
        try d.set(.performedProcedureCodeSequence, "")
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .contentDate, time: .contentTime)
        // All that there is to tell is told, and nobody has looked at it.
        try d.set(.completionFlag, "COMPLETE")
        try d.set(.verificationFlag, "UNVERIFIED")
        try d.set(.preliminaryFlag, "PRELIMINARY")
        let scheme = try d.addItem(.codingSchemeIdentificationSequence)
        try scheme.set(.codingSchemeDesignator, ReportConcept.ownScheme)
        try scheme.set(.codingSchemeName, "Codes of medlsam-node")
        try scheme.set(.codingSchemeResponsibleOrganization, ResultHeader.manufacturer)
        let series = header.series, study = try d.addItem(.currentRequestedProcedureEvidenceSequence)
        try study.set(.studyInstanceUID, series.studyInstanceUID)
        let images = try study.addItem(.referencedSeriesSequence)
        try images.set(.seriesInstanceUID, series.seriesInstanceUID)
        for instance in series.instances { _ = try images.addReference(.referencedSOPSequence, to: instance) }
        if let segmentation { try writeReference(study, segmentation.seriesInstanceUID, segmentation.sopClassUID, segmentation.sopInstanceUID) }
        if let replaced = header.replaced {
            let study = try d.addItem(.predecessorDocumentsSequence)
            try study.set(.studyInstanceUID, series.studyInstanceUID)
            try writeReference(study, replaced.seriesInstanceUID, replaced.sopClassUID, replaced.sopInstanceUID)
        }
    }

    private static func writeReference(_ study: DataSet, _ series: UID, _ sopClass: UID, _ instance: UID) throws {
        let item = try study.addItem(.referencedSeriesSequence)
        try item.set(.seriesInstanceUID, series)
        let object = try item.addItem(.referencedSOPSequence)
        try object.set(.referencedSOPClassUID, sopClass)
        try object.set(.referencedSOPInstanceUID, instance)
    }

    // MARK: - Content

    /// TID 1204 and TID 1001 with this software as the observer (TID 1004).
    private static func writeContext(_ root: ContentItem, _ header: ResultHeader) throws {
        let serial = header.context.deviceSerialNumber
        try root.code(.hasConceptModifier, ReportConcept.language, ReportConcept.english)
        try root.code(.hasObservationContext, ReportConcept.observerType, ReportConcept.device)
        try root.uid(.hasObservationContext, ReportConcept.deviceUID, .derived(from: ["device", ResultHeader.manufacturer, ResultHeader.modelName, serial]))
        for (name, value) in [
            (ReportConcept.deviceName, "\(ResultHeader.modelName) \(header.context.softwareVersion)"), (ReportConcept.deviceManufacturer, ResultHeader.manufacturer),
            (ReportConcept.deviceModel, ResultHeader.modelName), (ReportConcept.deviceSerialNumber, serial),
        ] { try root.text(.hasObservationContext, name, value) }
        try root.code(.hasConceptModifier, ReportConcept.procedureReported, ReportConcept.ct)
    }

    /// TID 1600: the images, with what they share (TID 1602, TID 1604).
    private static func writeLibrary(_ root: ContentItem, _ series: CTSeries) throws {
        let group = try root.container(ReportConcept.imageLibrary).container(ReportConcept.imageLibraryGroup), grid = series.grid
        try group.code(.hasAcquisitionContext, ReportConcept.modality, ReportConcept.computedTomography)
        try group.uid(.hasAcquisitionContext, ReportConcept.frameOfReference, series.frameOfReferenceUID)
        try group.number(.hasAcquisitionContext, ReportConcept.rows, Double(grid.rows), decimals: 0, ReportConcept.pixels)
        try group.number(.hasAcquisitionContext, ReportConcept.columns, Double(grid.columns), decimals: 0, ReportConcept.pixels)
        try group.number(.hasAcquisitionContext, ReportConcept.horizontalSpacing, grid.pixelSpacingMM.x, decimals: 4, ReportConcept.millimetre)
        try group.number(.hasAcquisitionContext, ReportConcept.verticalSpacing, grid.pixelSpacingMM.y, decimals: 4, ReportConcept.millimetre)
        if grid.isRegular { try group.number(.hasAcquisitionContext, ReportConcept.sliceSpacing, grid.working.spacingMM.z, decimals: 4, ReportConcept.millimetre) }
        for instance in series.instances { try group.image(nil, instance.sopClassUID, instance.sopInstanceUID) }
    }

    private static func writeGroup(_ groups: ContentItem, _ segment: ResultSegment, _ absence: String?, _ measures: RegionMeasures?,
                                   _ options: MeasurementOptions, _ segmentation: ResultObject?, _ header: ResultHeader) throws {
        let trackingUID = header.trackingUID(segment.name), number = segmentation.flatMap { $0.segmentNumber(trackingUID) }
        let group = try groups.container(ReportConcept.measurementGroup, template: number == nil ? "1501" : "1411")
        try group.text(.hasObservationContext, ReportConcept.trackingIdentifier, segment.name)
        try group.uid(.hasObservationContext, ReportConcept.trackingUID, trackingUID)
        try group.code(.contains, ReportConcept.findingCategory, segment.category)
        try group.code(.contains, ReportConcept.finding, segment.type)
        let site = try group.code(.contains, ReportConcept.findingSite, segment.type)
        if let laterality = segment.laterality { try site.code(.hasConceptModifier, ReportConcept.laterality, laterality) }
        try writeAlgorithm(group, header.author(of: segment).algorithm)
        if let segmentation, let number { try group.image(ReportConcept.referencedSegment, segmentation.sopClassUID, segmentation.sopInstanceUID, segment: number) }
        try group.uid(.contains, ReportConcept.sourceSeries, header.series.seriesInstanceUID)
        if let measures {
            try group.number(.contains, ReportConcept.volume, measures.volumeML, decimals: volumeDecimals, ReportConcept.millilitre)
            for statistic in options.attenuation {
                try group.number(.contains, ReportConcept.attenuation, measures.value(of: statistic), decimals: attenuationDecimals, ReportConcept.hounsfield)
                    .code(.hasConceptModifier, ReportConcept.derivation, ReportConcept.derivation(statistic))
            }
        }
        if let confidence = segment.confidence {
            try group.number(.contains, ReportConcept.confidence, confidence, decimals: confidenceDecimals, ReportConcept.noUnits)
        }
        try group.code(.contains, ReportConcept.state, ReportConcept.state(of: segment, isDrawn: measures != nil))
        try group.text(.contains, ReportConcept.comment, absence.map { "No contour: \($0)" } ?? segment.remark)
    }

    /// TID 4019.
    private static func writeAlgorithm(_ group: ContentItem, _ algorithm: Authorship.Algorithm?) throws {
        guard let algorithm else { return }
        try group.code(.hasConceptModifier, ReportConcept.algorithmFamily, algorithm.family)
        try group.text(.hasConceptModifier, ReportConcept.algorithmName, algorithm.name)
        try group.text(.hasConceptModifier, ReportConcept.algorithmVersion, algorithm.version)
        if let parameters = algorithm.parameters { try group.text(.hasConceptModifier, ReportConcept.algorithmParameters, parameters) }
        if let source = algorithm.source { try group.text(.hasConceptModifier, ReportConcept.algorithmManufacturer, source) }
    }
}

extension ResultObject {
    /// The number of the segment that tracks a structure; nil where the object has none.
    fileprivate func segmentNumber(_ trackingUID: UID) -> Int? {
        dataSet.items(.segmentSequence).first { $0.uid(.trackingUID) == trackingUID }?.integer(.segmentNumber)
    }
}
