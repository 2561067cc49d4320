/// How an RT Structure Set is written; as it stands, profile `generic`.
///
/// Structures are named in the maps as the template set names them (TG-263), whatever their ROI is then called.
public struct StructureSetOptions: Codable, Sendable, Hashable {
    /// How holes are told (PS3.3 C.8.8.6.3).
    public enum Holes: String, Codable, Sendable, CaseIterable {
        /// Joined to the contour around them by a bridge of no width: CLOSED_PLANAR that nearly every reader understands.
        case keyhole
        /// Every contour of a structure with holes is CLOSEDPLANAR_XOR. Readers that only know CLOSED_PLANAR lose the whole structure.
        case xor
        /// CLOSED_PLANAR contours of their own, to be taken out of the one around them.
        case separate
        /// Filled.
        case ignore
    }

    /// What becomes of a contour beyond `maximumPoints` or `maximumContourBytes`.
    public enum AtLimit: String, Codable, Sendable, CaseIterable {
        /// Its tolerance is raised, to `largestToleranceMM` at most, and stated with the structure; what is still too long is split.
        case simplify
        /// It is cut along a line between pixels into parts that together are the same region.
        case split
    }

    public var holes = Holes.keyhole
    /// Whether contours follow the half-way level of the probabilities, between pixels, where a structure has them.
    public var subpixel = true
    /// Islands (regions of one slice without the holes in them) of a smaller area are left out, in square millimetres.
    public var smallestIslandMM2 = 0.0
    /// Pieces (voxels joined by faces through all slices) of a smaller volume are left out, in millilitres.
    public var smallestPieceML = 0.0
    /// Smoothing between slices: standard deviation of a Gaussian along their normal, in millimetres; 0 for none.
    public var smoothingMM = 0.0
    /// How far a contour may leave the traced line when points are left out, in millimetres; nil: as far as no pixel changes
    /// (`Contours.harmlessToleranceMM`), or for contours between pixels a tenth of the smaller pixel spacing.
    public var toleranceMM: Double?
    /// The most points of a contour; nil for no limit.
    public var maximumPoints: Int?
    /// The longest Contour Data in bytes; nil for no limit. What is longer than 65,534 makes the object Implicit VR Little Endian.
    public var maximumContourBytes: Int? = 65_534
    public var atLimit = AtLimit.simplify
    /// The most that a limit may raise a contour's tolerance to, in millimetres.
    public var largestToleranceMM = 1.0
    /// Decimals of coordinates in millimetres.
    public var decimals = 3
    /// ROI names by structure; a structure that is not here keeps its name.
    public var names: [String: String] = [:]
    /// The longest ROI name, in characters; longer ones are cut, and equal ones numbered.
    public var nameLength = 64
    /// ROI observation labels by structure; the others have their ROI name, cut to 16 characters.
    public var labels: [String: String] = [:]
    /// RT ROI Interpreted Types (PS3.3 C.8.8.8.1) by structure; the others are of `interpretedType`.
    public var interpretedTypes: [String: String] = [:]
    public var interpretedType = "ORGAN"
    /// ROI display colours by structure, sRGB from 0 to 255; the others have the template set's.
    public var colors: [String: SIMD3<UInt8>] = [:]
    /// Whether a structure without contours keeps an ROI that states why; without it only the description names it.
    public var emptyROIs = true
    /// Whether the object goes out in Implicit VR Little Endian even where Explicit can hold it.
    public var implicitVR = false

    public init() {}
}
