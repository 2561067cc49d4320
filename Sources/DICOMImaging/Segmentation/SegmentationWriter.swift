import DICOMCore
import ImagingGeometry

/// Writes a result as a Segmentation object (PS3.3 A.51): BINARY, on the source's own pixels, frames without a pixel left out.
///
/// A structure without a mask gets no Segment item: validators let one without frames pass, but viewers hang on it
/// (OHIF/Viewers#3991). Image Comments states each such structure with its reason, and so does the structure set.
public enum SegmentationWriter {
    /// Makes the object in Explicit VR Little Endian.
    ///
    /// - Parameters:
    ///   - segments: every structure asked for; those with a mask are numbered 1... in this order.
    ///   - source: the headers of one instance of the series.
    /// - Throws: `nothingSegmented` when no structure has a mask, since a SEG without frames is none; `otherGrid` when a mask is not
    ///   on the series' grid.
    public static func make(segments: [ResultSegment], series: CTSeries, source: DataSet, context: ResultContext) throws -> ResultObject {
        let absences = try segments.map { try $0.absence(on: series) }
        let drawn = zip(segments, absences).filter { $1 == nil }.map(\.0)
        guard !drawn.isEmpty else {
            throw ImagingError(.nothingSegmented, "Series \(series.seriesInstanceUID): no structure was segmented, so there is no SEG to write.")
        }
        let header = ResultHeader(kind: .segmentation, series: series, source: source, context: context, variant: drawn.map(\.name))
        let frames = frames(of: drawn)
        let d = DataSet()
        try header.write(to: d)
        try writeImage(d, header: header, frames: frames)
        try d.set(.imageComments, comments(segments, absences))
        try writeReferences(d, series)
        for (index, segment) in drawn.enumerated() { try writeSegment(d, number: index + 1, segment, header) }
        try writeDimensions(d, header.uid("dimensions"))
        try writeShared(d, header)
        try writePerFrame(d, frames, series)
        try d.set(.pixelData, bytes: pixels(frames, of: drawn))
        return header.object(d, .explicitVRLittleEndian)
    }

    private struct Frame {
        /// Index into the drawn segments.
        let segment: Int
        let slice: Int
    }

    private static func frames(of segments: [ResultSegment]) -> [Frame] {
        segments.enumerated().flatMap { index, segment -> [Frame] in
            guard let mask = segment.mask else { return [] }
            let area = mask.geometry.size.x * mask.geometry.size.y
            return mask.voxels.withUnsafeBufferPointer { voxels in
                (0..<mask.geometry.size.z).filter { holdsAny(UnsafeBufferPointer(rebasing: voxels[$0 * area..<($0 + 1) * area])) }
            }.map { Frame(segment: index, slice: $0) }
        }
    }

    private static func pixels(_ frames: [Frame], of segments: [ResultSegment]) -> [UInt8] {
        let size = segments[0].mask!.geometry.size, area = size.x * size.y
        var packing = BitPacking(pixels: frames.count * area)
        for frame in frames {
            segments[frame.segment].mask!.voxels.withUnsafeBufferPointer {
                packing.append(UnsafeBufferPointer(rebasing: $0[frame.slice * area..<(frame.slice + 1) * area]))
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
        let size = header.series.volume.geometry.size
        try d.copy(.bodyPartExamined, from: header.source)
        try d.copy(.patientPosition, from: header.source)
        try d.set(.imageType, ["DERIVED", "PRIMARY"])
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .contentDate, time: .contentTime)
        try d.set(.contentLabel, "AUTO_UNAPPROVED")
        try d.set(.contentDescription, "Automatic contours, not reviewed")
        // No person made it.
        try d.set(.contentCreatorName, "")
        try d.set(.burnedInAnnotation, "NO")
        try d.set(.lossyImageCompression, header.series.isLossy ? "01" : "00")
        if header.series.isLossy {
            try d.copy(.lossyImageCompressionRatio, from: header.source)
            try d.copy(.lossyImageCompressionMethod, from: header.source)
        }
        try d.set(.samplesPerPixel, 1)
        try d.set(.photometricInterpretation, "MONOCHROME2")
        try d.set(.numberOfFrames, frames.count)
        try d.set(.rows, size.y)
        try d.set(.columns, size.x)
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

    private static func writeSegment(_ d: DataSet, number: Int, _ segment: ResultSegment, _ header: ResultHeader) throws {
        let item = try d.addItem(.segmentSequence)
        try item.set(.segmentNumber, number)
        try item.set(.segmentLabel, plain(segment.name, 64))
        try item.set(.segmentDescription, segment.remark)
        try item.set(.segmentAlgorithmType, "AUTOMATIC")
        try item.set(.segmentAlgorithmName, ResultHeader.algorithm)
        try item.set(.recommendedDisplayCIELabValue, cieLab(segment.color))
        try item.set(.trackingID, plain(segment.name, 64))
        try item.set(.trackingUID, header.trackingUID(segment.name))
        try item.set(.segmentedPropertyCategoryCodeSequence, segment.category)
        try item.set(.segmentedPropertyTypeCodeSequence, segment.type)
        if let laterality = segment.laterality {
            try item.items(.segmentedPropertyTypeCodeSequence)[0].set(.segmentedPropertyTypeModifierCodeSequence, laterality)
        }
        let algorithm = try item.addItem(.segmentationAlgorithmIdentificationSequence)
        try algorithm.set(.algorithmFamilyCodeSequence, CodedConcept(value: "123110", scheme: "DCM", meaning: "Artificial Intelligence"))
        try algorithm.set(.algorithmName, ResultHeader.algorithm)
        try algorithm.set(.algorithmVersion, plain(header.context.softwareVersion, 64))
        try algorithm.set(.algorithmParameters, plain(header.provenance, 10240))
        try algorithm.set(.algorithmSource, ResultHeader.manufacturer)
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
        let geometry = header.series.volume.geometry
        let shared = try d.addItem(.sharedFunctionalGroupsSequence)
        let measures = try shared.addItem(.pixelMeasuresSequence)
        try measures.set(.sliceThickness, header.source.double(.sliceThickness).flatMap { $0 > 0 ? $0 : nil } ?? geometry.spacingMM.z)
        try measures.set(.spacingBetweenSlices, geometry.spacingMM.z)
        try measures.set(.pixelSpacing, [geometry.spacingMM.y, geometry.spacingMM.x])
        let a = geometry.columnIndexDirection, b = geometry.rowIndexDirection
        try shared.addItem(.planeOrientationSequence).set(.imageOrientationPatient, [a.x, a.y, a.z, b.x, b.y, b.z])
    }

    private static func writePerFrame(_ d: DataSet, _ frames: [Frame], _ series: CTSeries) throws {
        // Dimension indices count the slices that have a frame, from 1 (PS3.3 C.7.6.17.1).
        let slices = Set(frames.map(\.slice)).sorted()
        let place = Dictionary(uniqueKeysWithValues: zip(slices, 1...))
        let segmentation = CodedConcept(value: "113076", scheme: "DCM", meaning: "Segmentation")
        let purpose = CodedConcept(value: "121322", scheme: "DCM", meaning: "Source image for image processing operation")
        for frame in frames {
            let item = try d.addItem(.perFrameFunctionalGroupsSequence)
            let derivation = try item.addItem(.derivationImageSequence)
            try derivation.set(.derivationCodeSequence, segmentation)
            let image = try derivation.addReference(.sourceImageSequence, to: series.instances[frame.slice])
            try image.set(.spatialLocationsPreserved, "YES")
            try image.set(.purposeOfReferenceCodeSequence, purpose)
            try item.addItem(.frameContentSequence).set(.dimensionIndexValues, [frame.segment + 1, place[frame.slice]!])
            let position = series.volume.geometry.indexToPatient([0, 0, Double(frame.slice)])
            try item.addItem(.planePositionSequence).set(.imagePositionPatient, [position.x, position.y, position.z].map(tidy))
            try item.addItem(.segmentIdentificationSequence).set(.referencedSegmentNumber, frame.segment + 1)
        }
    }

    /// Without the last digits, which are the arithmetic's and not the scanner's, and without a minus before zero.
    private static func tidy(_ value: Double) -> Double { (value * 1e8).rounded() / 1e8 + 0 }
}
