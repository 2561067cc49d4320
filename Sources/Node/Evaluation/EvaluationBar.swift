/// What the models are to reach (issue 3 of this project, after the MedLSAM paper's own figures on StructSeg): Medical Image Analysis 99
/// (2025) 103370.
struct EvaluationBar: Sendable {
    let structure: String
    let extent: StructureScore.Extent
    /// At least, as shares; at most, in millimetres. Nil where none is set.
    let boxIoU, boxWallDistanceMM, dice: Double?

    static let all = [
        EvaluationBar(structure: "Brainstem", extent: .whole, boxIoU: 0.71, boxWallDistanceMM: 2.4, dice: 0.80),
        EvaluationBar(structure: "Parotid_L", extent: .whole, boxIoU: 0.64, boxWallDistanceMM: 3.7, dice: 0.75),
        EvaluationBar(structure: "Parotid_R", extent: .whole, boxIoU: 0.63, boxWallDistanceMM: 4.0, dice: 0.75),
        EvaluationBar(structure: "SpinalCord", extent: .contouredSlices, boxIoU: 0.58, boxWallDistanceMM: 2.7, dice: 0.75),
        EvaluationBar(structure: "Bone_Mandible", extent: .whole, boxIoU: 0.81, boxWallDistanceMM: 2.5, dice: 0.80),
        EvaluationBar(structure: "Larynx", extent: .whole, boxIoU: nil, boxWallDistanceMM: nil, dice: 0.60),
        EvaluationBar(structure: "Esophagus", extent: .contouredSlices, boxIoU: nil, boxWallDistanceMM: nil, dice: 0.60),
    ]

    static func of(_ structure: String, _ extent: StructureScore.Extent) -> EvaluationBar? {
        all.first { $0.structure == structure && $0.extent == extent }
    }
}
