/// Why contouring, or making or reading a template set, failed.
public struct MedLSAMError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it was.
    public enum Code: String, Sendable {
        /// A template set cannot be read.
        case templateSetUnreadable
        /// A template set was made with other MedLAM weights than those loaded.
        case templateSetForOtherWeights
        /// A template set holds nothing that a localiser needs.
        case templateSetLacks
        /// A template set cannot be made from these cases.
        case casesUnusable
        /// The volume cannot be contoured.
        case volumeUnusable
        /// A network answered with something other than its manifest promises.
        case modelAnswerUnusable
    }

    public let code: Code
    /// Names the object and the reason; holds no patient data.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
