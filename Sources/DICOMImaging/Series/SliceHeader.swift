import DICOMCore

/// What tells whether an instance is a slice of a volume, and which: kept with each received instance.
public struct SliceHeader: Sendable, Codable, Hashable {
    public let sopInstanceUID: UID
    public let sopClassUID: UID
    public let seriesInstanceUID: UID
    public let studyInstanceUID: UID
    public let frameOfReferenceUID: UID?
    public let modality: String?
    /// Image Type (0008,0008), upper case.
    public private(set) var imageType: [String]
    public let rows: Int?
    public let columns: Int?
    /// Image Position (Patient): the centre of the first pixel, LPS, mm.
    public private(set) var positionLPS: SIMD3<Double>?
    /// First half of Image Orientation (Patient): direction of increasing column index.
    public private(set) var columnIndexDirection: SIMD3<Double>?
    /// Second half of Image Orientation (Patient): direction of increasing row index.
    public private(set) var rowIndexDirection: SIMD3<Double>?
    /// Distance between neighbouring columns, then between neighbouring rows: Pixel Spacing (0028,0030) turned round.
    public private(set) var pixelSpacingMM: SIMD2<Double>?
    /// Slice Thickness (0018,0050).
    public private(set) var sliceThicknessMM: Double?
    /// What may tell one stack of a series from another at the same place, by the attribute's name: see `StackKey`. Nil in headers
    /// that were recorded before stacks were told apart.
    public private(set) var distinctions: [String: String]?
    /// What selection rules ask besides; nil in headers that were recorded before there were rules.
    public internal(set) var attributes: SeriesAttributes?
    /// Which frame of a multi-frame image this is of, from 1; nil for an instance.
    public private(set) var frameNumber: Int?
    /// Of a multi-frame image its frames; nil for others, and where they cannot be read.
    private var frames: [Frame]?

    /// What a frame says of itself, of the image's properties of these names.
    private struct Frame: Codable, Hashable {
        let frameNumber: Int?, imageType: [String], positionLPS, columnIndexDirection, rowIndexDirection: SIMD3<Double>?
        let pixelSpacingMM: SIMD2<Double>?, sliceThicknessMM: Double?, distinctions: [String: String]?

        init(_ header: SliceHeader) {
            (frameNumber, imageType, positionLPS) = (header.frameNumber, header.imageType, header.positionLPS)
            (columnIndexDirection, rowIndexDirection) = (header.columnIndexDirection, header.rowIndexDirection)
            (pixelSpacingMM, sliceThicknessMM, distinctions) = (header.pixelSpacingMM, header.sliceThicknessMM, header.distinctions)
        }
    }

    /// Reads an instance of any class; what an image lacks stays nil.
    ///
    /// Throws `unreadable` where one of the UIDs that every composite instance has is missing or malformed.
    /// Of a multi-frame image this is what its data set says of all frames; where these lie, each frame tells.
    public init(_ dataSet: DataSet) throws(ImagingError) {
        try self.init(FrameAttributes(dataSet), attributes: SeriesAttributes(dataSet))
        guard isMultiFrameCT, let frames = try? FrameAttributes.frames(of: dataSet) else { return }
        self.frames = frames.compactMap { (try? SliceHeader($0)).map(Frame.init) }
    }

    /// Reads an instance without its frames, or a frame.
    init(_ frame: FrameAttributes, attributes: SeriesAttributes? = nil) throws(ImagingError) {
        let dataSet = frame.dataSet
        func required(_ tag: Tag, _ name: String) throws(ImagingError) -> UID {
            guard let uid = dataSet.uid(tag) else {
                throw ImagingError(.unreadable, "Instance \(dataSet.uid(.sopInstanceUID)?.string ?? "without UID") rejected: \(name) is missing or malformed.")
            }
            return uid
        }
        sopInstanceUID = try required(.sopInstanceUID, "SOP Instance UID")
        sopClassUID = try required(.sopClassUID, "SOP Class UID")
        seriesInstanceUID = try required(.seriesInstanceUID, "Series Instance UID")
        studyInstanceUID = try required(.studyInstanceUID, "Study Instance UID")
        frameOfReferenceUID = dataSet.uid(.frameOfReferenceUID)
        modality = dataSet.string(.modality)
        let type = frame.holder(of: .frameType, in: .ctImageFrameTypeSequence)?.strings(.frameType) ?? dataSet.strings(.imageType)
        imageType = type.map { $0.uppercased() }
        rows = dataSet.integer(.rows)
        columns = dataSet.integer(.columns)
        let position = frame.doubles(.imagePositionPatient, in: .planePositionSequence)
        let orientation = frame.doubles(.imageOrientationPatient, in: .planeOrientationSequence)
        let spacing = frame.doubles(.pixelSpacing, in: .pixelMeasuresSequence)
        positionLPS = position.count == 3 ? SIMD3(position) : nil
        columnIndexDirection = orientation.count == 6 ? SIMD3(orientation[..<3]) : nil
        rowIndexDirection = orientation.count == 6 ? SIMD3(orientation[3...]) : nil
        pixelSpacingMM = spacing.count == 2 ? SIMD2(spacing[1], spacing[0]) : nil
        sliceThicknessMM = frame.double(.sliceThickness, in: .pixelMeasuresSequence)
        distinctions = StackKey.distinctions(of: frame, imageType: imageType)
        self.attributes = attributes
        frameNumber = frame.number
    }

    /// Whether frames are kept with it.
    var hasFrames: Bool { frames != nil }

    /// The headers of the slices that an instance holds: itself, or a multi-frame image's frames.
    public var slices: [SliceHeader] {
        guard isMultiFrameCT else { return [self] }
        var slice = self
        slice.frames = nil
        return (frames ?? []).map { frame in
            (slice.frameNumber, slice.imageType, slice.positionLPS) = (frame.frameNumber, frame.imageType, frame.positionLPS)
            (slice.columnIndexDirection, slice.rowIndexDirection) = (frame.columnIndexDirection, frame.rowIndexDirection)
            (slice.pixelSpacingMM, slice.sliceThicknessMM, slice.distinctions) = (frame.pixelSpacingMM, frame.sliceThicknessMM, frame.distinctions)
            return slice
        }
    }

    /// A CT Image Storage instance or a frame of a multi-frame CT image, if it is no localizer.
    public var isCTSlice: Bool { !isLocalizer && (sopClassUID == SOPClass.ctImageStorage || frameNumber != nil) }

    /// A CT image whose frames are its slices: Enhanced or Legacy Converted Enhanced CT Image Storage.
    public var isMultiFrameCT: Bool {
        [SOPClass.enhancedCTImageStorage, SOPClass.legacyConvertedEnhancedCTImageStorage].contains(sopClassUID) && !isLocalizer && frameNumber == nil
    }

    /// A scout view: LOCALIZER in Image Type value 3 (PS3.3 C.8.2.1.1.1), or wherever a device puts it.
    public var isLocalizer: Bool { imageType.contains("LOCALIZER") }
}
