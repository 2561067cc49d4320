/// The figures of one structure over the cases that have it; means are over those where a figure exists.
public struct StructureFigures: Codable, Sendable {
    /// Of masks.
    public struct Masks: Codable, Sendable {
        public let masks: Double
        public let dice, hd95MM, surfaceDice, boxIoU, boxWallDistanceMM: Double?
    }

    /// Cases that have the structure.
    public let cases: Double
    /// Of the localiser's box: IoU counts as 0 where there is none, WD is over those there are.
    public let boxIoU: Double
    public let boxWallDistanceMM: Double?
    /// Of every mask that was made, the withheld among them; Dice counts as 0 where none was made.
    public let made: Masks
    /// Of the masks given out.
    public let givenOut: Masks
    /// Cases in which it was withheld; of these, those with a Dice under 0.5 or without any mask.
    public let withheld, rightlyWithheld: Double
    /// Cases in which it was taken to lie outside the scan, though the clinician drew it.
    public let notInFieldOfView: Double
    /// Box IoU of the clinician's box with every face one voxel off: outwards, inwards.
    public let oneVoxelOut, oneVoxelIn: Double

    /// Of a structure's scores, which are not empty.
    init(_ scores: [StructureScore]) {
        func count(_ isMeant: (StructureScore) -> Bool) -> Double { Double(scores.count(where: isMeant)) }
        cases = Double(scores.count)
        boxIoU = mean(scores.map { $0.box?.iou ?? 0 })!
        boxWallDistanceMM = mean(scores.map { $0.box?.wallDistanceMM })
        made = Masks(scores.map(\.mask), dice: mean(scores.map { $0.mask?.dice ?? 0 }))
        let given = scores.filter { $0.state == .segmented }.map(\.mask)
        givenOut = Masks(given, dice: mean(given.map { $0?.dice }))
        withheld = count { $0.state == .withheld }
        rightlyWithheld = count { $0.state == .withheld && ($0.mask?.dice ?? 0) < EvaluationReport.poorDice }
        notInFieldOfView = count { $0.state == .notInFieldOfView }
        oneVoxelOut = mean(scores.map(\.oneVoxelOut))!
        oneVoxelIn = mean(scores.map(\.oneVoxelIn))!
    }

    /// The mean of several draws' figures, which are not empty.
    init(meanOf draws: [StructureFigures]) {
        func of(_ value: KeyPath<StructureFigures, Double>) -> Double { mean(draws.map { $0[keyPath: value] })! }
        cases = of(\.cases)
        boxIoU = of(\.boxIoU)
        boxWallDistanceMM = mean(draws.map(\.boxWallDistanceMM))
        made = Masks(meanOf: draws.map(\.made))
        givenOut = Masks(meanOf: draws.map(\.givenOut))
        withheld = of(\.withheld)
        rightlyWithheld = of(\.rightlyWithheld)
        notInFieldOfView = of(\.notInFieldOfView)
        oneVoxelOut = of(\.oneVoxelOut)
        oneVoxelIn = of(\.oneVoxelIn)
    }
}

extension StructureFigures.Masks {
    fileprivate init(_ scores: [StructureScore.MaskScore?], dice: Double?) {
        let scores = scores.compactMap { $0 }
        self.init(masks: Double(scores.count), dice: dice, hd95MM: mean(scores.map(\.hd95MM)), surfaceDice: mean(scores.map(\.surfaceDice)),
                  boxIoU: mean(scores.map { $0.box?.iou }), boxWallDistanceMM: mean(scores.map { $0.box?.wallDistanceMM }))
    }

    fileprivate init(meanOf draws: [Self]) {
        func of(_ value: KeyPath<Self, Double?>) -> Double? { mean(draws.map { $0[keyPath: value] }) }
        self.init(masks: mean(draws.map(\.masks))!, dice: of(\.dice), hd95MM: of(\.hd95MM), surfaceDice: of(\.surfaceDice),
                  boxIoU: of(\.boxIoU), boxWallDistanceMM: of(\.boxWallDistanceMM))
    }
}
