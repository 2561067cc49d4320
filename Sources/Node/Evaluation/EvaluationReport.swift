import MedLSAM

/// What an evaluation came to: `evaluation.json`, whose form docs/how-to/evaluate.md describes and `format` counts.
public struct EvaluationReport: Codable, Sendable {
    public struct Draw: Codable, Sendable {
        /// Nil for an installed template set.
        public let seed: Int?
        /// Such as `evaluation 1`.
        public let templateSet: String
        /// The folders' names; empty for an installed set.
        public let supports: [String]
        /// Structures asked for that no support has, so that none was looked for.
        public let lacking: [String]
    }

    /// A case that could not be judged, or a support that could not be read.
    public struct Failure: Codable, Sendable, Equatable {
        public let caseName: String
        public let seed: Int?
        /// Nil where it failed before any method ran.
        public let method: String?
        public let reason: String
    }

    /// How one structure was found and contoured by one method.
    public struct Row: Codable, Sendable {
        public let structure: String
        public let extent: StructureScore.Extent
        public let method: String
        /// By draw, in order.
        public let draws: [StructureFigures]
        /// Of the draws' means.
        public let mean: StructureFigures
    }

    /// Means over all cases, draws and structures of what a method costs.
    public struct Cost: Codable, Sendable {
        public let method: String
        public let cases: Int
        /// Wall clock seconds a case.
        public let localisingSeconds, segmentingSeconds, totalSeconds, longestSeconds: Double
        public let peakMemoryMegabytes: Int
    }

    /// How well withholding tells good masks from bad, and confidence the Dice to expect.
    public struct Confidence: Codable, Sendable {
        /// Masks with a confidence in a tenth of 0 to 1.
        public struct Bin: Codable, Sendable {
            public let from, to: Double
            public let masks: Int
            /// Means; nil without a mask.
            public let confidence, dice: Double?
        }

        public let method: String
        /// Nil for all structures together.
        public let structure: String?
        /// Masks with a Dice under 0.5 and over 0.75, and how many of each were withheld.
        public let poor, poorWithheld, good, goodWithheld: Int
        public let bins: [Bin]
    }

    /// Counts changes of this form that a reader would notice.
    public let format: Int
    public let software: String
    public let draws: [Draw]
    public let methods: [String]
    public let cases: [String]
    public let rows: [Row]
    public let costs: [Cost]
    public let confidences: [Confidence]
    public let failures: [Failure]
    public let scores: [CaseScore]

    /// Under and over which a mask counts as poor and good (issue 3 of this project).
    public static let poorDice = 0.5, goodDice = 0.75

    init(_ plan: EvaluationPlan, _ draws: [SupportDraw], _ scores: [CaseScore], _ failures: [Failure]) {
        self.init(
            draws: draws.map { draw in
                let known = draw.templates.structures.map(\.name), wanted = draw.seed == nil ? [] : plan.structures.map(\.name)
                return Draw(seed: draw.seed, templateSet: "\(draw.templates.name) \(draw.templates.version)", supports: draw.supports,
                            lacking: wanted.filter { !known.contains($0) })
            },
            methods: plan.methods.map(\.name), cases: plan.cases.map(\.lastPathComponent),
            structures: draws.flatMap(\.templates.structures).map(\.name), scores: scores, failures: failures)
    }

    /// Summarises scores; `structures` in the order of the table.
    init(draws: [Draw], methods: [String], cases: [String], structures: [String], scores: [CaseScore], failures: [Failure]) {
        format = 1
        software = "medlsam-node \(softwareVersion)"
        (self.draws, self.methods, self.cases, self.scores, self.failures) = (draws, methods, cases, scores, failures)
        let structures = structures.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        rows = structures.flatMap { structure in
            StructureScore.Extent.allCases.flatMap { extent in
                methods.compactMap { method in Row(structure, extent, method, draws.map(\.seed), scores) }
            }
        }
        costs = methods.compactMap { method in Cost(method, scores.filter { $0.method == method }) }
        confidences = methods.flatMap { method in
            ([nil] + structures).compactMap { structure in Confidence(method, structure, scores.filter { $0.method == method }) }
        }
    }
}

extension EvaluationReport.Row {
    /// Nil where no case has the structure over this extent.
    fileprivate init?(_ structure: String, _ extent: StructureScore.Extent, _ method: String, _ seeds: [Int?], _ scores: [CaseScore]) {
        let found = seeds.map { seed in
            scores.filter { $0.seed == seed && $0.method == method }.flatMap(\.structures).filter { $0.name == structure && $0.extent == extent }
        }.filter { !$0.isEmpty }
        guard !found.isEmpty else { return nil }
        let draws = found.map(StructureFigures.init)
        self.init(structure: structure, extent: extent, method: method, draws: draws, mean: StructureFigures(meanOf: draws))
    }
}

extension EvaluationReport.Cost {
    fileprivate init?(_ method: String, _ scores: [CaseScore]) {
        guard !scores.isEmpty else { return nil }
        func mean(_ stage: String) -> Double { scores.reduce(0) { $0 + ($1.seconds[stage] ?? 0) } / Double(scores.count) }
        let totals = scores.map { $0.seconds.values.reduce(0, +) }
        self.init(method: method, cases: scores.count, localisingSeconds: mean("localising"), segmentingSeconds: mean("segmenting"),
                  totalSeconds: totals.reduce(0, +) / Double(totals.count), longestSeconds: totals.max()!, peakMemoryMegabytes: scores.map(\.peakMemoryMegabytes).max()!)
    }
}

extension EvaluationReport.Confidence {
    private static let bins = 10

    /// Nil where no mask of the structure was made.
    fileprivate init?(_ method: String, _ structure: String?, _ scores: [CaseScore]) {
        let masks = scores.flatMap(\.structures).filter { $0.extent == .whole && $0.mask != nil && (structure == nil || $0.name == structure) }
        guard !masks.isEmpty else { return nil }
        func count(_ isMeant: (StructureScore) -> Bool) -> Int { masks.count(where: isMeant) }
        let poor = { (score: StructureScore) in score.mask!.dice < EvaluationReport.poorDice }, good = { (score: StructureScore) in score.mask!.dice > EvaluationReport.goodDice }
        self.init(
            method: method, structure: structure, poor: count(poor), poorWithheld: count { poor($0) && $0.state == .withheld },
            good: count(good), goodWithheld: count { good($0) && $0.state == .withheld },
            bins: (0..<Self.bins).map { bin in
                let here = masks.filter { $0.confidence.map { min(Int($0 * Double(Self.bins)), Self.bins - 1) == bin } ?? false }
                return Bin(from: Double(bin) / Double(Self.bins), to: Double(bin + 1) / Double(Self.bins), masks: here.count,
                           confidence: mean(here.map(\.confidence)), dice: mean(here.map { $0.mask!.dice }))
            })
    }
}

/// The mean of those values that are there; nil without any.
func mean(_ values: [Double?]) -> Double? {
    let known = values.compactMap { $0 }
    return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
}
