import DICOMCore
import ImagingGeometry

/// One CT slice as its headers describe it, checked by itself.
struct CTSlice: Sendable {
    let path: String
    /// Where its image's pixel data lie; nil where its file must be parsed to find them.
    let place: PixelDataPlace?
    /// Its frame in a multi-frame image, from 1; nil for an image of its own.
    let frame: Int?
    /// How many frames its image has.
    let frameCount: Int
    let header: SliceHeader
    let format: PixelFormat
    let scale: HounsfieldScale
    let frameOfReferenceUID: UID
    let positionLPS: SIMD3<Double>
    let columnIndexDirection, rowIndexDirection: SIMD3<Double>
    let pixelSpacingMM: SIMD2<Double>
    /// Nil where its pixels never lost anything.
    let lossyCompression: LossyCompression?
    /// The values of `patientTags`; compared, never printed.
    let patient: [String]

    /// What must agree among a series' instances beside UIDs, since a result bears it (PS3.3 C.7.1.1).
    static let patientTags: [Tag] = [.patientID, .issuerOfPatientID, .patientName, .patientBirthDate, .patientSex]

    init(_ dataSet: DataSet, header: SliceHeader, path: String, place: PixelDataPlace? = nil) throws(Refusal) {
        let format = try PixelFormat(dataSet)
        // CT Image Storage is single-frame (PS3.3 A.3); the attribute may be there and say 1.
        guard (dataSet.integer(.numberOfFrames) ?? 1) == 1 else { throw Refusal(.unsupported, "Number of Frames is not 1") }
        try self.init(FrameAttributes(dataSet), header: header, format: format, path: path, place: place)
    }

    init(_ attributes: FrameAttributes, header: SliceHeader, format: PixelFormat, path: String, place: PixelDataPlace?) throws(Refusal) {
        let dataSet = attributes.dataSet
        (self.path, self.place) = (path, place)
        frame = attributes.number
        frameCount = frame == nil ? 1 : dataSet.integer(.numberOfFrames) ?? 1
        self.header = header
        self.format = format
        scale = try HounsfieldScale(attributes)
        guard let frame = header.frameOfReferenceUID else { throw Refusal(.unreadable, "Frame of Reference UID is missing") }
        guard let position = header.positionLPS else { throw Refusal(.unreadable, "Image Position (Patient) is missing or no three numbers") }
        guard let a = header.columnIndexDirection, let b = header.rowIndexDirection else {
            throw Refusal(.unreadable, "Image Orientation (Patient) is missing or no six numbers")
        }
        guard position.max() < SliceStack.farthestMM, position.min() > -SliceStack.farthestMM else {
            throw Refusal(.unreadable, "Image Position (Patient) is farther than \(Int(SliceStack.farthestMM)) mm away")
        }
        guard let spacing = header.pixelSpacingMM, SliceStack.pixelSpacingRangeMM.contains(spacing.min()), SliceStack.pixelSpacingRangeMM.contains(spacing.max()) else {
            let range = SliceStack.pixelSpacingRangeMM
            throw Refusal(.unreadable, "Pixel Spacing is missing or no two numbers of \(range.lowerBound) to \(range.upperBound) mm")
        }
        let fault = VolumeGeometry(size: .one, spacingMM: .one, originLPS: .zero, columnIndexDirection: a, rowIndexDirection: b).orthonormality
        guard fault <= SliceStack.orientationTolerance else {
            throw Refusal(.unreadable, "Image Orientation (Patient) is no pair of unit vectors at a right angle (off by \(fault), tolerance \(SliceStack.orientationTolerance))")
        }
        (frameOfReferenceUID, positionLPS, columnIndexDirection, rowIndexDirection, pixelSpacingMM) = (frame, position, a, b, spacing)
        patient = Self.patientTags.map { dataSet.string($0) ?? "" }
        lossyCompression = LossyCompression(dataSet, format: format, compressedLength: place.map(\.compressedLength) ?? PixelData.compressedLength(of: dataSet))
    }
}
