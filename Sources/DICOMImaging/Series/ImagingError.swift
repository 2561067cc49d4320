/// Why an image cannot be used or a result cannot be written; the message names objects by UID and holds no patient data.
public struct ImagingError: Error, Equatable, CustomStringConvertible {
    /// The kind of failure, for code that decides.
    public enum Code: Sendable {
        /// A file is absent, broken, or lacks what its class demands.
        case unreadable
        /// Sound, but of a kind that this version does not read.
        case unsupported
        /// Instances that do not belong to one series of one patient, or differ in what one volume shares.
        case inconsistent
        /// The slices do not lie on a regular grid.
        case irregular
        /// No structure was segmented, so there is no object to write.
        case nothingSegmented
        /// A mask does not lie on its series' grid.
        case otherGrid
        /// Two masks share voxels where only one can hold each.
        case overlapping
        /// A file could not be written.
        case cannotWrite
        /// A picture or a page cannot be drawn: a font is missing, or there is no memory for it.
        case cannotDraw
        /// Not a structure set, or one of other images.
        case structureSetUnusable
        /// An object that was written breaks a rule, and must not be sent.
        case unsound
    }

    /// The kind of failure.
    public let code: Code
    /// What failed, on which object, why.
    public let message: String

    /// An error of a kind with its message.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
