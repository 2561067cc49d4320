import Foundation

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
        /// It is cut along a line between pixels into parts that together are the same region: no pixel changes.
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
    public var atLimit = AtLimit.split
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

extension StructureSetOptions {
    /// The least that a point limit may be: what a single pixel's contour needs, with some to spare.
    public static let leastPoints = 16
    /// The least that a limit of Contour Data may be: `leastPoints` points of three values, each of the 16 characters of a DS.
    public static let leastContourBytes = leastPoints * 3 * 17

    /// What in them no structure set can follow, a phrase each; empty when all is well.
    public var problems: [String] {
        var problems: [String] = []
        func demand(_ isMet: Bool, _ problem: String) { if !isMet { problems.append(problem) } }
        func isText(_ text: String, _ length: Int) -> Bool {
            !text.trimmingCharacters(in: .whitespaces).isEmpty && text.count <= length && text.unicodeScalars.allSatisfy { (0x20...0x7E).contains($0.value) && $0 != "\\" }
        }
        for (value, name) in [(smallestIslandMM2, "smallestIslandMM2"), (smallestPieceML, "smallestPieceML"), (smoothingMM, "smoothingMM"),
                              (toleranceMM ?? 0, "toleranceMM"), (largestToleranceMM, "largestToleranceMM")] {
            demand(value >= 0 && value <= 1000, "\(name) must be from 0 to 1000")
        }
        demand(maximumPoints ?? .max >= Self.leastPoints, "maximumPoints must be at least \(Self.leastPoints)")
        demand(maximumContourBytes ?? .max >= Self.leastContourBytes, "maximumContourBytes must be at least \(Self.leastContourBytes)")
        demand((2...3).contains(decimals), "decimals must be 2 or 3")
        demand((4...64).contains(nameLength), "nameLength must be from 4 to 64")
        for (structure, name) in names.sorted(by: { $0.key < $1.key }) {
            demand(isText(name, nameLength), "name of \(structure) must have 1 to \(nameLength) ASCII characters, no backslash")
        }
        for (structure, label) in labels.sorted(by: { $0.key < $1.key }) {
            demand(isText(label, 16), "label of \(structure) must have 1 to 16 ASCII characters, no backslash")
        }
        let types = interpretedTypes.map { ("interpretedType of \($0.key)", $0.value) }.sorted { $0.0 < $1.0 } + [("interpretedType", interpretedType)]
        for (name, type) in types {
            demand(type.count <= 16 && type.allSatisfy { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_" || $0 == " ") },
                   "\(name) must have at most 16 capital letters, digits, spaces or underscores")
        }
        return problems
    }

    /// All options in one string, the same for equal ones.
    var variant: String { get throws { try stable(self) } }

    /// The ROI names of structures: by the map, cut to length, and numbered from the second of equal ones on.
    func roiNames(of structures: [String]) -> [String] {
        var taken: Set<String> = []
        return structures.map { structure in
            let whole = plain(names[structure] ?? structure, nameLength)
            var name = whole, number = 2
            while !taken.insert(name).inserted {
                let suffix = "_\(number)"
                name = whole.prefix(nameLength - suffix.count) + suffix
                number += 1
            }
            return name
        }
    }
}
