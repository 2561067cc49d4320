import DICOMCore
import ImagingGeometry

/// One CT slice as its headers describe it, checked by itself.
struct CTSlice: Sendable {
    let path: String
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
    let isLossy: Bool
    /// What must agree within a patient; compared, never printed.
    let patient: [String]

    init(_ dataSet: DataSet, header: SliceHeader, path: String) throws(Refusal) {
        let format = try PixelFormat(dataSet)
        // CT Image Storage is single-frame (PS3.3 A.3); the attribute may be there and say 1.
        guard (dataSet.integer(.numberOfFrames) ?? 1) == 1 else { throw Refusal(.unsupported, "Number of Frames is not 1") }
        try self.init(FrameAttributes(dataSet), header: header, format: format, path: path)
    }

    init(_ attributes: FrameAttributes, header: SliceHeader, format: PixelFormat, path: String) throws(Refusal) {
        let dataSet = attributes.dataSet
        self.path = path
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
        patient = [.patientID, .patientName, .patientBirthDate].map { dataSet.string($0) ?? "" }
        isLossy = switch dataSet.string(.lossyImageCompression) {
        case "01": true
        case "00": false
        default: Self.lossySyntaxes.contains(dataSet.transferSyntaxUID?.string ?? "")
        }
    }

    /// JPEG baseline to progressive, JPEG-LS near-lossless, JPEG 2000 (which may be lossless, then Lossy Image Compression
    /// should say 00).
    private static let lossySyntaxes = Set(["50", "51", "53", "55", "81", "91"].map { "1.2.840.10008.1.2.4.\($0)" })
}

/// How stored values become Hounsfield units (PS3.3 C.11.1, C.7.5.1.1.2).
struct HounsfieldScale: Hashable, Sendable {
    let slope, intercept: Double
    /// Stored words, as the file's bits, between which pixels lie outside the scan.
    let padding: ClosedRange<Int>?

    /// Air: everything below, and padding, becomes this.
    static let floorHU: Int16 = -1024

    init(_ dataSet: DataSet) throws(Refusal) { try self.init(FrameAttributes(dataSet)) }

    init(_ attributes: FrameAttributes) throws(Refusal) {
        let dataSet = attributes.dataSet, group = Tag.pixelValueTransformationSequence
        let type = attributes.string(.rescaleType, in: group)
        guard type == nil || type == "HU" else { throw Refusal(.unsupported, "Rescale Type is not HU") }
        guard !dataSet.contains(.modalityLUTSequence) else { throw Refusal(.unsupported, "it has a Modality LUT") }
        guard let slope = attributes.double(.rescaleSlope, in: group), let intercept = attributes.double(.rescaleIntercept, in: group) else {
            throw Refusal(.unreadable, "Rescale Slope or Rescale Intercept is missing or no number")
        }
        guard slope > 0 else { throw Refusal(.unreadable, "Rescale Slope is \(slope)") }
        self.slope = slope
        self.intercept = intercept
        let value = dataSet.integer(.pixelPaddingValue), limit = dataSet.integer(.pixelPaddingRangeLimit)
        padding = value.map { min($0, limit ?? $0)...max($0, limit ?? $0) }
    }

    /// Hounsfield units of every stored word, rounded, held between -1024 and the largest Int16.
    func table(_ format: PixelFormat) -> [Int16] {
        // In implicit VR a signed padding value may have been read as unsigned, or the other way round: compare values.
        let padding = padding.map { range in
            let ends = [range.lowerBound, range.upperBound].map { format.value(UInt16(truncatingIfNeeded: $0 << (format.highBit + 1 - format.bitsStored))) }
            return ends.min()!...ends.max()!
        }
        return (0...UInt16.max).map { word in
            let value = format.value(word)
            if padding?.contains(value) == true { return Self.floorHU }
            let units = (Double(value) * slope + intercept).rounded()
            return Int16(min(max(units, Double(Self.floorHU)), Double(Int16.max)))
        }
    }
}
