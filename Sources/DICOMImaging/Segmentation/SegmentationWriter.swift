import DICOMCore
import ImagingGeometry

/// Writes a result as a Segmentation object (PS3.3 A.51) on the source's own slices and pixels.
///
/// Each frame states the plane of the slice it lies on. Where the slices are not evenly spaced or not upright upon each other, Spacing
/// Between Slices is left out, since no number would be true.
///
/// A structure without a mask gets no Segment item: validators let one without frames pass, but viewers hang on it
/// (OHIF/Viewers#3991). Image Comments states each such structure with its reason, and so does the structure set.
public enum SegmentationWriter {
    /// Makes the object in Explicit VR Little Endian.
    ///
    /// Structures with a mask are numbered 1... in their order. A label map has number 0 for what is none of them.
    /// - Throws: `nothingSegmented` when no structure has a mask, since a SEG without frames is none; `cannotWrite` when the pixels are
    ///   more than an element can hold.
    public static func make(_ contoured: ContouredSeries, _ options: SegmentationOptions = .init()) throws -> ResultObject {
        try contoured.demandSegmented(for: "SEG")
        let content = SegmentationContent(contoured, options), frames = content.frames, series = contoured.series
        let header = ResultHeader(.segmentation, content.sopClassUID, contoured, variant: content.drawn.map(\.name) + [try stable(options)])
        let groups = SegmentationGroups(series), d = DataSet()
        try header.write(to: d)
        try writeImage(d, header, content)
        try d.set(.imageComments, comments(contoured))
        try writeReferences(d, series)
        try d.addReplacedImages(header.allReplaced.prefix(1))
        if content.form == .labelmap { try writeBackground(d) }
        for (index, segment) in content.drawn.enumerated() { try writeSegment(d, number: index + 1, segment, content.remarks[index], header) }
        try writeDimensions(d, header.uid("dimensions"), bySegment: content.form != .labelmap)
        try groups.writeShared(d)
        let perFrame = try groups.perFrame(frames.frames)
        let pixelHeader = try Encoding.header(.pixelData, frames.bitsAllocated > 8 ? "OW" : "OB", frames.length)
        return header.object(d, .explicitVRLittleEndian) { output in
            output.append(perFrame)
            output.append(pixelHeader)
            frames.write(output)
        }
    }

    private static func comments(_ contoured: ContouredSeries) -> String {
        let missing = zip(contoured.segments, contoured.drawings).compactMap { segment, drawing in drawing.absence.map { "\(segment.name): \($0)" } }
        let text = missing.isEmpty ? "Every structure asked for is in this object." : "Not in this object: " + missing.joined(separator: "; ") + "."
        return plain(text, 10240)
    }

    // MARK: - Modules

    private static func writeImage(_ d: DataSet, _ header: ResultHeader, _ content: SegmentationContent) throws {
        try d.copy(.bodyPartExamined, from: header.source)
        try d.copy(.patientPosition, from: header.source)
        try d.set(.imageType, ["DERIVED", "PRIMARY"])
        try d.setDateTime(header.context.contentDate, in: header.timeZone, date: .contentDate, time: .contentTime)
        try d.set(.contentLabel, header.label.replacing(" ", with: "_"))
        try d.set(.contentDescription, header.title + (header.replaced == nil ? "" : "; replaces an earlier result"))
        // No person made it.
        try d.set(.contentCreatorName, "")
        try d.set(.burnedInAnnotation, "NO")
        try header.writeLossyCompression(to: d)
        try d.set(.samplesPerPixel, 1)
        try d.set(.photometricInterpretation, "MONOCHROME2")
        try d.set(.numberOfFrames, content.frames.frames.count)
        try d.set(.rows, header.series.grid.rows)
        try d.set(.columns, header.series.grid.columns)
        try d.set(.bitsAllocated, content.frames.bitsAllocated)
        try d.set(.bitsStored, content.frames.bitsAllocated)
        try d.set(.highBit, content.frames.bitsAllocated - 1)
        try d.set(.pixelRepresentation, 0)
        try d.set(.segmentationType, content.form.rawValue.uppercased())
        try d.set(.segmentsOverlap, content.form == .labelmap ? "NO" : "UNDEFINED")
        if content.form == .fractional {
            try d.set(.segmentationFractionalType, "PROBABILITY")
            try d.set(.maximumFractionalValue, Int(SegmentationFrames.maximumFractionalValue))
        }
        // In a label map, what stands for no structure (PS3.3 C.8.20.2).
        if content.form == .labelmap { try d.set(.pixelPaddingValue, 0) }
    }

    private static func writeReferences(_ d: DataSet, _ series: CTSeries) throws {
        let item = try d.addItem(.referencedSeriesSequence)
        try item.set(.seriesInstanceUID, series.seriesInstanceUID)
        for instance in series.instances { _ = try item.addReference(.referencedInstanceSequence, to: instance) }
    }

    /// Every number in a label map is described, 0 too (PS3.3 C.8.20.2.3).
    private static func writeBackground(_ d: DataSet) throws {
        let background = CodedConcept(value: "125040", scheme: "DCM", meaning: "Background"), item = try d.addItem(.segmentSequence)
        try item.set(.segmentNumber, 0)
        try item.set(.segmentLabel, "Background")
        try item.set(.segmentAlgorithmType, "AUTOMATIC")
        try item.set(.segmentAlgorithmName, ResultHeader.modelName)
        try item.set(.recommendedDisplayCIELabValue, cieLab([0, 0, 0]))
        try item.set(.segmentedPropertyCategoryCodeSequence, background)
        try item.set(.segmentedPropertyTypeCodeSequence, background)
    }

    private static func writeSegment(_ d: DataSet, number: Int, _ segment: ResultSegment, _ remark: String, _ header: ResultHeader) throws {
        let item = try d.addItem(.segmentSequence)
        try item.set(.segmentNumber, number)
        try item.set(.segmentLabel, plain(segment.name, 64))
        try item.set(.segmentDescription, plain(remark, 1024))
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
        if let region = segment.anatomicRegion { try item.set(.anatomicRegionSequence, region) }
        guard let algorithm = author.algorithm else { return }
        let identification = try item.addItem(.segmentationAlgorithmIdentificationSequence)
        try identification.set(.algorithmFamilyCodeSequence, algorithm.family)
        try identification.set(.algorithmName, plain(algorithm.name, 64))
        try identification.set(.algorithmVersion, plain(algorithm.version, 64))
        if let parameters = algorithm.parameters { try identification.set(.algorithmParameters, plain(parameters, 10240)) }
        if let source = algorithm.source { try identification.set(.algorithmSource, plain(source, 64)) }
    }

    private static func writeDimensions(_ d: DataSet, _ organization: UID, bySegment: Bool) throws {
        try d.addItem(.dimensionOrganizationSequence).set(.dimensionOrganizationUID, organization)
        let segment: [(Tag, Tag, String)] = bySegment ? [(.referencedSegmentNumber, .segmentIdentificationSequence, "Segment")] : []
        for (pointer, group, label) in segment + [(.imagePositionPatient, .planePositionSequence, "Slice")] {
            let item = try d.addItem(.dimensionIndexSequence)
            try item.set(.dimensionOrganizationUID, organization)
            try item.set(.dimensionIndexPointer, [pointer])
            try item.set(.functionalGroupPointer, [group])
            try item.set(.dimensionDescriptionLabel, label)
        }
    }
}
