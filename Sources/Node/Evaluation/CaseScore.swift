/// What came of one case in one draw by one method: the unit that an evaluation keeps, as JSON.
public struct CaseScore: Codable, Sendable {
    /// What it was made with; another basis makes it void.
    public let basis: String
    /// The folder's name.
    public let caseName: String
    /// The draw's seed; nil for an installed template set.
    public let seed: Int?
    /// Such as `medlam+lite-medsam`.
    public let method: String
    public let seriesInstanceUID: String
    public let slices: Int
    /// Those that the clinician drew; openly ending ones twice.
    public let structures: [StructureScore]
    /// Structures of the template set that the clinician did not draw.
    public let notDrawn: [String]
    /// Wall clock seconds by stage: reading, localising, segmenting, writing.
    public let seconds: [String: Double]
    /// Of the process since the case began; all cases that ran beside it are in it.
    public let peakMemoryMegabytes: Int
    /// Of the CT and the structure set, a sentence each.
    public let warnings: [String]
}

/// How one structure of a case was found and contoured, against the clinician.
public struct StructureScore: Codable, Sendable {
    /// What of the structure is compared.
    public enum Extent: String, Codable, Sendable, CaseIterable {
        case whole
        /// Only within the slices that the clinician contoured: where a clinic stops drawing is no anatomy.
        case contouredSlices
    }

    /// How two boxes in patient space agree.
    public struct BoxScore: Codable, Sendable {
        /// Intersection over union, 0 to 1.
        public let iou: Double
        /// Mean distance of the six faces.
        public let wallDistanceMM: Double
    }

    /// How two masks on the CT's grid agree.
    public struct MaskScore: Codable, Sendable {
        public let dice: Double
        /// Both nil when nothing of the mask lies where it is compared.
        public let hd95MM, surfaceDice: Double?
        /// Of the mask's own box.
        public let box: BoxScore?
    }

    public let name: String
    public let extent: Extent
    public let state: JobReport.Structure.State
    /// Why it was withheld.
    public let reason: String?
    /// 0 to 1.
    public let confidence: Double?
    /// What the confidence is made of, by `Evidence`.
    public let evidence: [String: Double]
    /// Of the localiser's box; nil where it has none.
    public let box: BoxScore?
    /// Of the mask read back from the SEG, or of the one withheld; nil where none was made.
    public let mask: MaskScore?
    /// Box IoU of the clinician's own box with every face one voxel farther out, and farther in: what one voxel is worth.
    public let oneVoxelOut, oneVoxelIn: Double
}
