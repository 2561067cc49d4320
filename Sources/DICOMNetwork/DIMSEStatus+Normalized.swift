/// Statuses of normalized services (PS3.7 annex C).
extension DIMSEStatus {
    /// Invalid attribute value.
    public static let invalidAttributeValue = DIMSEStatus(rawValue: 0x0106)
    /// Duplicate SOP instance.
    public static let duplicateSOPInstance = DIMSEStatus(rawValue: 0x0111)
    /// No such SOP instance.
    public static let noSuchSOPInstance = DIMSEStatus(rawValue: 0x0112)
    /// Invalid argument value: an action's information is not as its service wants it.
    public static let invalidArgumentValue = DIMSEStatus(rawValue: 0x0115)
    /// No such SOP class.
    public static let noSuchSOPClass = DIMSEStatus(rawValue: 0x0118)
    /// Missing attribute.
    public static let missingAttribute = DIMSEStatus(rawValue: 0x0120)
    /// Missing attribute value.
    public static let missingAttributeValue = DIMSEStatus(rawValue: 0x0121)
    /// No such action type.
    public static let noSuchActionType = DIMSEStatus(rawValue: 0x0123)
    /// Unrecognized operation.
    public static let unrecognizedOperation = DIMSEStatus(rawValue: 0x0211)
    /// Resource limitation.
    public static let resourceLimitation = DIMSEStatus(rawValue: 0x0213)
}
