/// The SOP classes this node names (PS3.6 table A-1).
public enum SOPClass {
    public static let verification = UID(constant: "1.2.840.10008.1.1")
    public static let ctImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.2")
    public static let enhancedCTImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.2.1")
    public static let legacyConvertedEnhancedCTImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.2.2")
    public static let mrImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.4")
    public static let petImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.128")
    public static let secondaryCaptureImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.7")
    public static let multiFrameTrueColorSecondaryCaptureImageStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.7.4")
    public static let segmentationStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.66.4")
    public static let labelMapSegmentationStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.66.7")
    public static let rtStructureSetStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.481.3")
    public static let rtDoseStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.481.2")
    public static let rtPlanStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.481.5")
    public static let comprehensive3DSRStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.88.34")
    public static let encapsulatedPDFStorage = UID(constant: "1.2.840.10008.5.1.4.1.1.104.1")
    public static let storageCommitmentPushModel = UID(constant: "1.2.840.10008.1.20.1")
    /// The one instance that storage commitment is asked of (PS3.4 J.3.5).
    public static let storageCommitmentPushModelInstance = UID(constant: "1.2.840.10008.1.20.1.1")
    public static let modalityPerformedProcedureStep = UID(constant: "1.2.840.10008.3.1.2.3.3")
    public static let instanceAvailabilityNotification = UID(constant: "1.2.840.10008.5.1.4.33")
    public static let studyRootFind = UID(constant: "1.2.840.10008.5.1.4.1.2.2.1")
}
