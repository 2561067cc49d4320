import DICOMCore

/// The concepts of a measurement report (PS3.16 CID 7021, TID 1002 to 1004, 1204, 1500, 1411, 1501, 1600, 4019).
enum ReportConcept {
    /// The scheme of what no other code says (PS3.16 8.2: private schemes begin with 99).
    static let ownScheme = "99MEDLSAM"

    static let imagingMeasurementReport = dcm("126000", "Imaging Measurement Report")
    static let language = dcm("121049", "Language of Content Item and Descendants")
    static let english = CodedConcept(value: "en-US", scheme: "RFC5646", meaning: "English (United States)")
    static let procedureReported = dcm("121058", "Procedure reported")
    static let ct = CodedConcept(value: "25045-6", scheme: "LN", meaning: "CT unspecified body region")

    static let observerType = dcm("121005", "Observer Type"), device = dcm("121007", "Device")
    static let deviceUID = dcm("121012", "Device Observer UID"), deviceName = dcm("121013", "Device Observer Name")
    static let deviceManufacturer = dcm("121014", "Device Observer Manufacturer"), deviceModel = dcm("121015", "Device Observer Model Name")
    static let deviceSerialNumber = dcm("121016", "Device Observer Serial Number")

    static let imageLibrary = dcm("111028", "Image Library"), imageLibraryGroup = dcm("126200", "Image Library Group")
    static let modality = dcm("121139", "Modality"), computedTomography = dcm("CT", "Computed Tomography")
    static let frameOfReference = dcm("112227", "Frame of Reference UID")
    static let rows = dcm("110910", "Pixel Data Rows"), columns = dcm("110911", "Pixel Data Columns")
    static let horizontalSpacing = dcm("111026", "Horizontal Pixel Spacing"), verticalSpacing = dcm("111066", "Vertical Pixel Spacing")
    static let sliceSpacing = dcm("112226", "Spacing between slices")

    static let imagingMeasurements = dcm("126010", "Imaging Measurements"), measurementGroup = dcm("125007", "Measurement Group")
    static let trackingIdentifier = dcm("112039", "Tracking Identifier"), trackingUID = dcm("112040", "Tracking Unique Identifier")
    static let findingCategory = sct("276214006", "Finding category"), finding = dcm("121071", "Finding")
    static let findingSite = sct("363698007", "Finding Site"), laterality = sct("272741003", "Laterality")
    static let referencedSegment = dcm("121191", "Referenced Segment")
    static let sourceSeries = dcm("121232", "Source series for segmentation")
    static let comment = dcm("121106", "Comment")

    static let algorithmName = dcm("111001", "Algorithm Name"), algorithmVersion = dcm("111003", "Algorithm Version")
    static let algorithmParameters = dcm("111002", "Algorithm Parameters"), algorithmFamily = dcm("111000", "Algorithm Family")
    static let algorithmManufacturer = dcm("122405", "Algorithm Manufacturer")

    static let volume = sct("118565006", "Volume"), attenuation = dcm("112031", "Attenuation Coefficient")
    static let derivation = dcm("121401", "Derivation")
    /// How much MedLSAM trusts a contour. No code of DICOM's fits: Certainty of Finding (111012) is a likelihood, and this is none.
    static let confidence = own("CONFIDENCE", "Confidence of automatic contour")
    static let state = own("STATE", "State of contour")

    static let millilitre = ucum("ml", "milliliter"), hounsfield = ucum("[hnsf'U]", "Hounsfield unit")
    static let millimetre = ucum("mm", "millimeter"), pixels = ucum("{pixels}", "pixels"), noUnits = ucum("1", "no units")

    private static func dcm(_ value: String, _ meaning: String) -> CodedConcept { CodedConcept(value: value, scheme: "DCM", meaning: meaning) }
    private static func sct(_ value: String, _ meaning: String) -> CodedConcept { CodedConcept(value: value, scheme: "SCT", meaning: meaning) }
    private static func ucum(_ value: String, _ meaning: String) -> CodedConcept { CodedConcept(value: value, scheme: "UCUM", meaning: meaning) }
    private static func own(_ value: String, _ meaning: String) -> CodedConcept { CodedConcept(value: value, scheme: ownScheme, meaning: meaning) }

    /// PS3.16 CID 7464.
    static func derivation(_ statistic: MeasurementOptions.Statistic) -> CodedConcept {
        switch statistic {
        case .mean: sct("373098007", "Mean")
        case .standardDeviation: sct("386136009", "Standard Deviation")
        case .minimum: sct("255605001", "Minimum")
        case .maximum: sct("56851009", "Maximum")
        }
    }

    static func state(of segment: ResultSegment, isDrawn: Bool) -> CodedConcept {
        switch segment.state {
        case .segmented: isDrawn ? own("SEGMENTED", "Segmented") : own("EMPTY", "Segmented, but empty")
        case .notInFieldOfView: own("NOT_IN_FIELD", "Not in the field of view")
        case .withheld: own("WITHHELD", "Withheld")
        case .failed: own("FAILED", "Failed")
        }
    }
}
