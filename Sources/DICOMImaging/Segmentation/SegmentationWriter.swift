import DICOMCore
import ImagingGeometry

/// Writes a result as a Segmentation object (PS3.3 A.51): BINARY, on the source's own slices and pixels, frames without a pixel left out.
///
/// Each frame states the plane of the slice it lies on. Where the slices are not evenly spaced or not upright upon each other, Spacing
/// Between Slices is left out, since no number would be true.
///
/// A structure without a mask gets no Segment item: validators let one without frames pass, but viewers hang on it
/// (OHIF/Viewers#3991). Image Comments states each such structure with its reason, and so does the structure set.
public enum SegmentationWriter {
    /// Makes the object in Explicit VR Little Endian.
    ///
    /// Structures with a mask are numbered 1... in their order.
    /// - Throws: `nothingSegmented` when no structure has a mask, since a SEG without frames is none.
    public static func make(_ contoured: ContouredSeries, _ options: SegmentationOptions = .init()) throws -> ResultObject {
        try contoured.demandSegmented(for: "SEG")
        let segments = contoured.segments, drawings = contoured.drawings, series = contoured.series
        let drawn = zip(segments, drawings).filter { $1.mask != nil }.map(\.0), masks = drawings.compactMap(\.mask)
        let header = ResultHeader(.segmentation, SOPClass.segmentationStorage, contoured, variant: drawn.map(\.name))
        let frames = frames(of: masks)
        let d = DataSet()
        try header.write(to: d)
        try writeImage(d, header: header, frames: frames)
        try d.set(.imageComments, comments(segments, drawings.map(\.absence)))
        try writeReferences(d, series)
        if let replaced = header.replaced { try writeReplaced(d, replaced) }
        for (index, segment) in drawn.enumerated() { try writeSegment(d, number: index + 1, segment, header) }
        try writeDimensions(d, header.uid("dimensions"))
        try writeShared(d, header)
        try writePerFrame(d, frames, series)
        try d.set(.pixelData, bytes: pixels(frames, of: masks))
        return header.object(d, .explicitVRLittleEndian)
    }

    private struct Frame {
        /// Index into the drawn segments.
        let segment: Int
        let slice: Int
    }

    private static func frames(of masks: [SourceMask]) -> [Frame] {
        masks.enumerated().flatMap { index, mask in
            mask.voxels.withUnsafeBufferPointer { voxels in
                (0..<mask.grid.slices).filter { holdsAny(UnsafeBufferPointer(rebasing: voxels[mask.range(ofSlice: $0)])) }
            }.map { Frame(segment: index, slice: $0) }
        }
    }

    private static func pixels(_ frames: [Frame], of masks: [SourceMask]) -> [UInt8] {
        var packing = BitPacking(pixels: frames.count * masks[0].grid.columns * masks[0].grid.rows)
        for frame in frames {
            masks[frame.segment].voxels.withUnsafeBufferPointer {
                packing.append(UnsafeBufferPointer(rebasing: $0[masks[frame.segment].range(ofSlice: frame.slice)]))
            }
        }
        return packing.bytes
    }

    private static func comments(_ segments: [ResultSegment], _ absences: [String?]) -> String {
        let missing = zip(segments, absences).compactMap { segment, reason in reason.map { "\(segment.name): \($0)" } }
        let text = missing.isEmpty ? "Every structure asked for is in this object." : "Not in this object: " + missing.joined(separator: "; ") + "."
        return plain(text, 10240)
    }

    // MARK: - Modules

    private static func writeImage(_ d: DataSet, header: ResultHeader, frames: [Frame]) throws {
        try d.copy(.bodyPartExamined, from: header.source)
        try d.copy(.patientPosition, from: header.source)
        try d.set(.imageType, ["DERIVED", "PRIMARY"])
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .contentDate, time: .contentTime)
        try d.set(.contentLabel, header.label.replacing(" ", with: "_"))
        try d.set(.contentDescription, header.title + (header.replaced == nil ? "" : "; replaces an earlier result"))
        // No person made it.
        try d.set(.contentCreatorName, "")
        try d.set(.burnedInAnnotation, "NO")
        try d.set(.lossyImageCompression, header.series.isLossy ? "01" : "00")
        if let lossy = header.series.lossyCompression, !lossy.ratios.isEmpty, !lossy.methods.isEmpty {
            try d.set(.lossyImageCompressionRatio, lossy.ratios)
            try d.set(.lossyImageCompressionMethod, lossy.methods)
        }
        try d.set(.samplesPerPixel, 1)
        try d.set(.photometricInterpretation, "MONOCHROME2")
        try d.set(.numberOfFrames, frames.count)
        try d.set(.rows, header.series.grid.rows)
        try d.set(.columns, header.series.grid.columns)
        try d.set(.bitsAllocated, 1)
        try d.set(.bitsStored, 1)
        try d.set(.highBit, 0)
        try d.set(.pixelRepresentation, 0)
        try d.set(.segmentationType, "BINARY")
        try d.set(.segmentsOverlap, "UNDEFINED")
    }

    private static func writeReferences(_ d: DataSet, _ series: CTSeries) throws {
        let item = try d.addItem(.referencedSeriesSequence)
        try item.set(.seriesInstanceUID, series.seriesInstanceUID)
        for instance in series.instances { _ = try item.addReference(.referencedInstanceSequence, to: instance) }
    }

    /// An image that is related to this one (PS3.3 C.12.4), which the Common Instance Reference Module lists too (C.12.2). No code of
    /// DICOM's says that an image replaces another.
    private static func writeReplaced(_ d: DataSet, _ replaced: ReplacedObject) throws {
        func refer(_ item: DataSet) throws {
            try item.set(.referencedSOPClassUID, replaced.sopClassUID)
            try item.set(.referencedSOPInstanceUID, replaced.sopInstanceUID)
        }
        let image = try d.addItem(.referencedImageSequence)
        try refer(image)
        try image.set(.purposeOfReferenceCodeSequence, CodedConcept(value: "REPLACED", scheme: "99MEDLSAM", meaning: "Replaced by this instance"))
        let series = try d.addItem(.referencedSeriesSequence)
        try series.set(.seriesInstanceUID, replaced.seriesInstanceUID)
        try refer(series.addItem(.referencedInstanceSequence))
    }

    private static func writeSegment(_ d: DataSet, number: Int, _ segment: ResultSegment, _ header: ResultHeader) throws {
        let item = try d.addItem(.segmentSequence)
        try item.set(.segmentNumber, number)
        try item.set(.segmentLabel, plain(segment.name, 64))
        try item.set(.segmentDescription, segment.remark)
        let author = header.author(of: segment)
        try item.set(.segmentAlgorithmType, author.method.rawValue)
        if author.method != .manual { try item.set(.segmentAlgorithmName, plain(author.name ?? "Unknown", 64)) }
        try item.set(.recommendedDisplayCIELabValue, cieLab(segment.color))
        try item.set(.trackingID, plain(segment.name, 64))
        try item.set(.trackingUID, header.trackingUID(segment.name))
        try item.set(.segmentedPropertyCategoryCodeSequence, segment.category)
        try item.set(.segmentedPropertyTypeCodeSequence, segment.type)
        if let laterality = segment.laterality {
            try item.items(.segmentedPropertyTypeCodeSequence)[0].set(.segmentedPropertyTypeModifierCodeSequence, laterality)
        }
        guard let algorithm = author.algorithm else { return }
        let identification = try item.addItem(.segmentationAlgorithmIdentificationSequence)
        try identification.set(.algorithmFamilyCodeSequence, algorithm.family)
        try identification.set(.algorithmName, plain(algorithm.name, 64))
        try identification.set(.algorithmVersion, plain(algorithm.version, 64))
        if let parameters = algorithm.parameters { try identification.set(.algorithmParameters, plain(parameters, 10240)) }
        if let source = algorithm.source { try identification.set(.algorithmSource, plain(source, 64)) }
    }

    private static func writeDimensions(_ d: DataSet, _ organization: UID) throws {
        try d.addItem(.dimensionOrganizationSequence).set(.dimensionOrganizationUID, organization)
        for (pointer, group, label): (Tag, Tag, String) in [
            (.referencedSegmentNumber, .segmentIdentificationSequence, "Segment"),
            (.imagePositionPatient, .planePositionSequence, "Slice"),
        ] {
            let item = try d.addItem(.dimensionIndexSequence)
            try item.set(.dimensionOrganizationUID, organization)
            try item.set(.dimensionIndexPointer, [pointer])
            try item.set(.functionalGroupPointer, [group])
            try item.set(.dimensionDescriptionLabel, label)
        }
    }

    private static func writeShared(_ d: DataSet, _ header: ResultHeader) throws {
        let grid = header.series.grid, shared = try d.addItem(.sharedFunctionalGroupsSequence)
        if sharesThickness(header.series) { try writeMeasures(shared, header.series, slice: 0) }
        let a = grid.columnIndexDirection, b = grid.rowIndexDirection
        try shared.addItem(.planeOrientationSequence).set(.imageOrientationPatient, [a.x, a.y, a.z, b.x, b.y, b.z])
    }

    /// Whether all slices are of one thickness: then it is shared, else each frame states its own.
    private static func sharesThickness(_ series: CTSeries) -> Bool { Set((0..<series.grid.slices).map { thickness(series, slice: $0) }).count == 1 }

    /// Slice Thickness of the source, where it states none the part of space that the slice stands for.
    private static func thickness(_ series: CTSeries, slice: Int) -> Double {
        series.frames[slice].sliceThicknessMM.flatMap { $0 > 0 ? $0 : nil } ?? tidy(series.grid.thicknessesMM[slice])
    }

    private static func writeMeasures(_ groups: DataSet, _ series: CTSeries, slice: Int) throws {
        let measures = try groups.addItem(.pixelMeasuresSequence), grid = series.grid
        try measures.set(.sliceThickness, thickness(series, slice: slice))
        if grid.isRegular { try measures.set(.spacingBetweenSlices, grid.working.spacingMM.z) }
        try measures.set(.pixelSpacing, [grid.pixelSpacingMM.y, grid.pixelSpacingMM.x])
    }

    private static func writePerFrame(_ d: DataSet, _ frames: [Frame], _ series: CTSeries) throws {
        // Dimension indices count the slices that have a frame, from 1 (PS3.3 C.7.6.17.1).
        let slices = Set(frames.map(\.slice)).sorted()
        let place = Dictionary(uniqueKeysWithValues: zip(slices, 1...))
        let segmentation = CodedConcept(value: "113076", scheme: "DCM", meaning: "Segmentation")
        let sharesThickness = sharesThickness(series)
        let purpose = CodedConcept(value: "121322", scheme: "DCM", meaning: "Source image for image processing operation")
        for frame in frames {
            let item = try d.addItem(.perFrameFunctionalGroupsSequence)
            let derivation = try item.addItem(.derivationImageSequence)
            try derivation.set(.derivationCodeSequence, segmentation)
            let image = try derivation.addReference(.sourceImageSequence, to: series.frames[frame.slice])
            try image.set(.spatialLocationsPreserved, "YES")
            try image.set(.purposeOfReferenceCodeSequence, purpose)
            try item.addItem(.frameContentSequence).set(.dimensionIndexValues, [frame.segment + 1, place[frame.slice]!])
            if !sharesThickness { try writeMeasures(item, series, slice: frame.slice) }
            let position = series.grid.originsLPS[frame.slice]
            try item.addItem(.planePositionSequence).set(.imagePositionPatient, [position.x, position.y, position.z].map(tidy))
            try item.addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, frame.segment + 1)
        }
    }

    /// Without the last digits, which are the arithmetic's and not the scanner's, and without a minus before zero.
    private static func tidy(_ value: Double) -> Double { (value * 1e8).rounded() / 1e8 + 0 }
}
