/// How a SEG is written.
public struct SegmentationOptions: Codable, Sendable, Hashable {
    /// How pixels tell segments (Segmentation Type, PS3.3 C.8.20.2).
    public enum Form: String, Codable, Sendable, CaseIterable {
        /// A bit a pixel and structure: what every reader takes.
        case binary
        /// A number a pixel, that of its structure (PS3 Supplement 243): a SOP class of its own, `SOPClass.labelMapSegmentationStorage`.
        case labelmap
        /// A probability a pixel and structure.
        case fractional
    }

    /// What becomes of pixels that several structures share in a label map, where each can be of one only.
    public enum Overlaps: String, Codable, Sendable, CaseIterable {
        /// They go to the structure of the least volume, which has the most to lose; the object says how many each other structure lost.
        case smallest
        /// The result is written as BINARY instead, which loses nothing.
        case binary
    }

    public var form: Form
    /// What a label map does about structures that overlap.
    public var overlaps: Overlaps
    /// Whether frames without a pixel are written too, for readers that want each slice.
    public var emptyFrames: Bool

    public init(form: Form = .binary, overlaps: Overlaps = .smallest, emptyFrames: Bool = false) {
        self.form = form
        self.overlaps = overlaps
        self.emptyFrames = emptyFrames
    }
}
