import DICOMCore

/// How stored values become Hounsfield units (PS3.3 C.11.1, C.7.5.1.1.2).
///
/// In a CT image an absent Rescale Type means them (PS3.3 C.8.2.1: it is required where it is not HU, and of multi-energy images).
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
        guard type == nil || type?.uppercased() == "HU" else { throw Refusal(.unsupported, "Rescale Type is not HU") }
        guard type != nil || dataSet.string(.multienergyCTAcquisition) != "YES" else {
            throw Refusal(.unsupported, "it is a multi-energy image without Rescale Type, so that the unit of its values is unknown")
        }
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
