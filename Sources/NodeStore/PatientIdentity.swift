/// Who a series is of, told by digests: enough to see that two series are of one patient, not who that is.
///
/// As text, which the database keeps, five digests between colons: of Patient ID, name and birth date together, then of Patient
/// ID, Issuer of Patient ID, name and birth date alone, each empty where the value is. A series of the first schema has
/// only the first.
public struct PatientIdentity: RawRepresentable, Sendable, Equatable {
    public let rawValue: String
    private let parts: [Substring]

    public init(rawValue: String) {
        self.rawValue = rawValue
        parts = rawValue.split(separator: ":", omittingEmptySubsequences: false)
    }

    /// Each a digest; nil for a value that is absent or empty.
    public init(whole: String, patientID: String?, issuer: String?, name: String?, birthDate: String?) {
        self.init(rawValue: ([whole] + [patientID, issuer, name, birthDate].map { $0 ?? "" }).joined(separator: ":"))
    }

    /// Whether two series of one study are of one patient.
    ///
    /// Patient ID decides, within its issuer (PS3.3 C.7.1.1): a name or a birth date that was corrected, or is missing, between two
    /// series makes no other patient. Both corrected at once does: a number given twice looks like that. Without a Patient ID,
    /// name and birth date must agree.
    public func isSame(as other: PatientIdentity) -> Bool {
        if parts[0] == other.parts[0] { return true }
        guard parts.count == 5, other.parts.count == 5 else { return false }
        func contradicts(_ part: Int) -> Bool { !parts[part].isEmpty && !other.parts[part].isEmpty && parts[part] != other.parts[part] }
        let (patientID, issuer, name, birthDate) = (1, 2, 3, 4)
        return !parts[patientID].isEmpty && parts[patientID] == other.parts[patientID] && !contradicts(issuer)
            && !(contradicts(name) && contradicts(birthDate))
    }
}
