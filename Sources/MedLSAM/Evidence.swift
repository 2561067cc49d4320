/// What confidence in a mask is made of.
public enum Evidence: String, Codable, CaseIterable, Sendable {
    /// Similarity of the structure's points to the supports', relative to what supports reach among themselves.
    case likeness
    /// How much better intensities fit inside the localised shape than just outside, relative to the supports' own.
    case fit
    /// Share of the structure's points that lie in the scan.
    case visibleShare
    /// Ratio of the localised box's size to the nearest support's, the worst axis's, at most 1.
    case boxSize
    /// The overlap that LiteMedSAM predicts of its masks.
    case predictedIoU
    /// Dice of the network's mask with the localised shape.
    case agreement
    /// Dice that the trained network's probabilities lead one to expect.
    case expectedDice
    /// Dice of what the trained network draws of the scan and of its mirror image.
    case stability

    /// Where it runs from 0 to 1 as an ingredient of a confidence that is a product.
    private var range: (Double, Double) {
        switch self {
        case .likeness: (0.8, 1.0)
        case .fit: (0.2, 0.9)
        case .visibleShare: (0.4, 0.95)
        case .boxSize: (0.3, 0.7)
        case .predictedIoU: (0.4, 0.6)
        case .agreement: (0.0, 0.2)
        case .expectedDice, .stability: (0.5, 0.9)
        }
    }

    /// What a low value makes one doubt.
    private var doubt: String {
        switch self {
        case .likeness: "the scan looks little like the supports there"
        case .fit: "the intensities do not fit its shape"
        case .visibleShare: "much of it lies outside the scan"
        case .boxSize: "its box is not of the supports' size"
        case .predictedIoU, .expectedDice: "the network doubts its own mask"
        case .agreement: "the network's mask does not fit the supports' shape"
        case .stability: "the network draws the mirrored scan otherwise"
        }
    }

    /// A product of all ingredients, to this power: mostly three of them speak at a time.
    private static let softness = 1.0 / 3
    /// Dice of the trained network's masks as a linear function of what it knows of them, fitted (robustly, soft L1) to OpenKBP's 33 validation
    /// patients; the other evidence told nothing more there. Training/calibrate.py fits it anew.
    private static let trained = (constant: -1.10, expectedDice: 0.54, stability: 1.50)

    /// The confidence below which a mask is withheld, unless the template set says otherwise.
    static func leastConfidence(_ evidence: [Evidence: Double]) -> Double { evidence[.expectedDice] == nil ? 0.5 : 0.65 }

    /// How sure of a mask one may be, 0 to 1; of the trained network's, the Dice to expect.
    static func confidence(_ evidence: [Evidence: Double]) -> Double {
        if let expected = evidence[.expectedDice], let stability = evidence[.stability] {
            return min(max(trained.constant + trained.expectedDice * expected + trained.stability * stability, 0), 1)
        }
        // In a fixed order, so that the same evidence gives the same number.
        return power(allCases.reduce(1) { product, one in evidence[one].map { product * ramp((one, $0)) } ?? product }, softness)
    }

    /// Why not to trust it, in words.
    static func gravestDoubt(_ evidence: [Evidence: Double]) -> String {
        let speaking = evidence[.expectedDice] == nil ? allCases : [.expectedDice, .stability]
        return speaking.filter { evidence[$0] != nil }.min { ramp(($0, evidence[$0]!)) < ramp(($1, evidence[$1]!)) }?.doubt ?? "nothing is known of it"
    }

    private static func ramp(_ one: (key: Evidence, value: Double)) -> Double {
        let (low, high) = one.key.range
        return min(max((one.value - low) / (high - low), 0), 1)
    }
}
