/// A coded concept: code value, coding scheme and meaning (PS3.3 section 8.8).
public struct Code: Codable, Sendable, Hashable {
    public let value: String
    public let scheme: String
    public let meaning: String

    public init(_ value: String, _ meaning: String, scheme: String = "SCT") {
        self.value = value
        self.scheme = scheme
        self.meaning = meaning
    }
}

/// A structure that can be contoured: what it is called, coded and shown as.
public struct StructureDefinition: Codable, Sendable, Hashable {
    /// TG-263 name, such as `Parotid_L`; at most 16 characters.
    public let name: String
    /// Segmented property category (PS3.16 CID 7150).
    public let category: Code
    /// Segmented property type (PS3.16 CID 7151 and those it includes).
    public let type: Code
    /// Segmented property type modifier (PS3.16 CID 244), nil where a structure is single.
    public let laterality: Code?
    /// Anatomic region (PS3.16 CID 4), for a type that is no anatomical structure itself, such as a tumour; nil for one that is.
    public let region: Code?
    /// sRGB, 0 to 255.
    public let color: SIMD3<UInt8>

    public init(name: String, type: Code, laterality: Code? = nil, region: Code? = nil, color: SIMD3<UInt8>,
                category: Code = Code("91723000", "Anatomical Structure")) {
        self.name = name
        self.category = category
        self.type = type
        self.laterality = laterality
        self.region = region
        self.color = color
    }

    /// The seven structures of the `head-neck` template set.
    public static let headNeck: [StructureDefinition] = [
        StructureDefinition(name: "Brainstem", type: Code("119238007", "Brain Stem"), color: [255, 196, 0]),
        StructureDefinition(name: "SpinalCord", type: Code("2748008", "Spinal cord"), color: [0, 200, 83]),
        StructureDefinition(name: "Parotid_L", type: Code("45289007", "Parotid gland"),
                            laterality: Code("7771000", "Left"), color: [41, 121, 255]),
        StructureDefinition(name: "Parotid_R", type: Code("45289007", "Parotid gland"),
                            laterality: Code("24028007", "Right"), color: [0, 229, 255]),
        StructureDefinition(name: "Bone_Mandible", type: Code("91609006", "Mandible"), color: [255, 138, 128]),
        StructureDefinition(name: "Larynx", type: Code("4596009", "Larynx"), color: [213, 0, 249]),
        StructureDefinition(name: "Esophagus", type: Code("32849002", "Esophagus"), color: [255, 109, 0]),
    ]
}
