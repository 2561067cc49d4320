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
    public let imageType: [String]
    public let rows: Int?
    public let columns: Int?
    /// Image Position (Patient): the centre of the first pixel, LPS, mm.
    public let positionLPS: SIMD3<Double>?
    /// First half of Image Orientation (Patient): direction of increasing column index.
    public let columnIndexDirection: SIMD3<Double>?
    /// Second half of Image Orientation (Patient): direction of increasing row index.
    public let rowIndexDirection: SIMD3<Double>?
    /// Distance between neighbouring columns, then between neighbouring rows: Pixel Spacing (0028,0030) turned round.
    public let pixelSpacingMM: SIMD2<Double>?
    /// What selection rules ask besides; nil in headers that were recorded before there were rules.
    public let attributes: SeriesAttributes?

    /// Reads an instance of any class; what an image lacks stays nil.
    ///
    /// Throws `unreadable` where one of the UIDs that every composite instance has is missing or malformed.
    public init(_ dataSet: DataSet) throws(ImagingError) {
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
        imageType = dataSet.strings(.imageType).map { $0.uppercased() }
        rows = dataSet.integer(.rows)
        columns = dataSet.integer(.columns)
        let position = dataSet.doubles(.imagePositionPatient), orientation = dataSet.doubles(.imageOrientationPatient)
        let spacing = dataSet.doubles(.pixelSpacing)
        positionLPS = position.count == 3 ? SIMD3(position) : nil
        columnIndexDirection = orientation.count == 6 ? SIMD3(orientation[..<3]) : nil
        rowIndexDirection = orientation.count == 6 ? SIMD3(orientation[3...]) : nil
        pixelSpacingMM = spacing.count == 2 ? SIMD2(spacing[1], spacing[0]) : nil
        attributes = SeriesAttributes(dataSet)
    }

    /// A CT Image Storage instance that is no localizer.
    public var isCTSlice: Bool { sopClassUID == SOPClass.ctImageStorage && !isLocalizer }

    /// A scout view: LOCALIZER in Image Type value 3 (PS3.3 C.8.2.1.1.1), or wherever a device puts it.
    public var isLocalizer: Bool { imageType.contains("LOCALIZER") }
}
