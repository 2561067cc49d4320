import NodeConfiguration

/// One of several series of which the best is chosen: all that the choice rests on, so that it can be made after a restart and whatever
/// the settings say then.
struct Candidate: Sendable, Codable, Equatable {
    typealias Best = Configuration.Selection.Best

    let rule, templateSet: String
    let late: Best.Late
    let quietSeconds, waitSeconds: Double
    /// What is to be read of the series; nil for all.
    let instances: [String]?
    /// What is compared, the first difference deciding.
    let measures: [Measure]

    /// One preference and how a series stands in it: the smaller, the better.
    struct Measure: Sendable, Codable, Equatable {
        let name: String
        let value: Double
        /// How it is said, such as `1 mm`.
        let words: String
    }

    /// `gap`: what is missing between the slices; a series without a gap is better than any with one.
    init(_ decision: SelectionDecision, rule: Configuration.Selection.Rule, best: Best, gap: String?) {
        (self.rule, templateSet, late) = (rule.name, rule.templateSet ?? "", best.late)
        (quietSeconds, waitSeconds, instances) = (best.quietSeconds, best.waitSeconds, decision.instances)
        measures = [Measure(name: "whole", value: gap == nil ? 0 : 1, words: gap == nil ? "no slice missing" : "slices missing")]
            + best.prefer.map { Measure($0, softKernel: best.softKernel, decision.stack.facts) }
    }

    /// How this is better than another; nil when it is not.
    func advantage(over other: Candidate) -> String? {
        guard let (own, their) = zip(measures, other.measures).first(where: { $0.value != $1.value }) else { return nil }
        return own.value < their.value ? "\(own.name) (\(own.words) against \(their.words))" : nil
    }
}

extension Candidate.Measure {
    fileprivate init(_ preference: Candidate.Best.Preference, softKernel: TextPattern, _ facts: SeriesFacts) {
        /// What is not stated is worse than anything that is.
        func length(_ value: Double?, sign: Double) -> (Double, String) {
            value.map { ($0 * sign, "\(($0...$0).brief) mm") } ?? (.greatestFiniteMagnitude, "not stated")
        }
        let thickness = (facts.numbers[.sliceThicknessMM] ?? facts.numbers[.sliceSpacingMM])?.upperBound
        let (value, words): (Double, String) =
            switch preference {
            case .softKernel:
                facts.isSoft(softKernel) ? (0, "soft") : (1, "not soft")
            case .thinnest: length(thickness, sign: 1)
            case .thickest: length(thickness, sign: -1)
            case .largestFieldOfView: length(facts.numbers[.fieldOfViewMM]?.lowerBound, sign: -1)
            case .smallestFieldOfView: length(facts.numbers[.fieldOfViewMM]?.upperBound, sign: 1)
            case .mostSlices: { (-$0, "\(Int($0))") }(facts.numbers[.slices]?.lowerBound ?? 0)
            }
        self.init(name: preference.rawValue, value: value, words: words)
    }
}

/// The contest that a series takes part in: a rule's, within a study or one acquisition of it.
func contestName(rule: Configuration.Selection.Rule, of scope: Configuration.Selection.Best.Scope, study: String, facts: SeriesFacts) -> String {
    ([rule.name, study] + (scope == .acquisition ? facts.acquisitions.sorted() : [])).joined(separator: "|")
}

/// The best of several candidates in the order in which they were complete: on a tie the earliest.
func best(of candidates: [Candidate]) -> Int? {
    candidates.indices.reduce(nil as Int?) { best, index in
        guard let best else { return index }
        return candidates[index].advantage(over: candidates[best]) == nil ? best : index
    }
}
