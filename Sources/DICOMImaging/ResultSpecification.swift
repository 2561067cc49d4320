import DICOMCore

/// An object that a destination is to get, and how it is written.
///
/// Whatever can change an object's bytes stands in here, so that equal specifications are one object and others have other UIDs.
public enum ResultSpecification: Codable, Sendable, Hashable {
    /// DICOM-SEG (PS3.3 A.51).
    case segmentation(SegmentationOptions)
    /// RT Structure Set (PS3.3 A.19).
    case structureSet(StructureSetOptions)
    /// A series of secondary captures: contours over windowed slices (PS3.3 A.8).
    case overlay(CaptureOptions)
    /// One secondary capture: the sheet of all structures (PS3.3 A.8).
    case summary(CaptureOptions)
    /// Comprehensive 3D SR by TID 1500 (PS3.3 A.35.13), which refers to the segments of a SEG where the destination gets one.
    case measurements(MeasurementOptions, of: SegmentationOptions?)
    /// The summary sheet as Encapsulated PDF (PS3.3 A.45.1).
    case document(CaptureOptions)

    public var kind: ResultKind {
        switch self {
        case .segmentation: .segmentation
        case .structureSet: .structureSet
        case .overlay: .overlay
        case .summary: .summary
        case .measurements: .measurements
        case .document: .document
        }
    }

    /// The SOP class that the object has, unless its options let a label map become a binary segmentation.
    public var sopClassUID: UID {
        switch self {
        case .segmentation(let options): options.form == .labelmap ? SOPClass.labelMapSegmentationStorage : SOPClass.segmentationStorage
        case .structureSet: SOPClass.rtStructureSetStorage
        case .overlay, .summary: SOPClass.secondaryCaptureImageStorage
        case .measurements: SOPClass.comprehensive3DSRStorage
        case .document: SOPClass.encapsulatedPDFStorage
        }
    }

    /// How people tell it from others of a job: the kind, and of a SEG its form where that is not BINARY, such as `SR of SEG LABELMAP`.
    public var name: String {
        func seg(_ options: SegmentationOptions) -> String {
            ResultKind.segmentation.rawValue + (options.form == .binary ? "" : " \(options.form.rawValue.uppercased())")
        }
        return switch self {
        case .segmentation(let options): seg(options)
        case .measurements(_, of: let options?) where options.form != .binary: "\(kind.rawValue) of \(seg(options))"
        default: kind.rawValue
        }
    }
}

/// The kinds of objects that a result is told in.
public enum ResultKind: String, Codable, Sendable, CaseIterable {
    case segmentation = "SEG", structureSet = "RTSTRUCT", overlay = "OVERLAY", summary = "SUMMARY", measurements = "SR", document = "PDF"
}
