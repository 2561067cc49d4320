import Foundation
import NodeConfiguration

/// What the rules make of a series, and why; kept with its job. Holds names of rules and numbers, none of the series' texts.
public struct SelectionRecord: Sendable, Codable, Equatable {
    /// The first rule that matches; nil when none does.
    public var rule: String?
    /// Nil when the series is not to be contoured.
    public var templateSet: String?
    /// A sentence.
    public var reason: String
}

extension Configuration.Selection {
    /// The template sets that rules name, each once.
    var templateSets: [String] { Set(rules.compactMap(\.templateSet)).sorted() }

    /// The first rule that matches a series, and what it makes of it.
    func decide(_ facts: SeriesFacts) -> (rule: Rule?, record: SelectionRecord) {
        var misses: [String] = []
        for rule in rules {
            let unmet = rule.when.unmet(by: facts)
            guard unmet.isEmpty else {
                misses.append("\(rule.name) (\(unmet.joined(separator: ", ")))")
                continue
            }
            let reason = rule.templateSet.map { "Rule \(rule.name) matches: template set \($0)." } ?? "Rule \(rule.name) matches: not to be contoured."
            return (rule, SelectionRecord(rule: rule.name, templateSet: rule.templateSet, reason: reason))
        }
        let reason = misses.isEmpty ? "No selection rule matches: there is none." : "No selection rule matches; unmet: \(misses.joined(separator: "; "))."
        return (nil, SelectionRecord(rule: nil, templateSet: nil, reason: reason))
    }
}

extension Configuration.Selection.Conditions {
    /// The conditions that do not hold of a series, each by its name, numbers with what they are.
    func unmet(by facts: SeriesFacts) -> [String] {
        typealias Selection = Configuration.Selection
        var names = Selection.Text.allCases.filter { text in
            guard let pattern = texts[text] else { return false }
            let values = facts.texts[text] ?? []
            return values.isEmpty || !values.allSatisfy { $0.contains(where: pattern.matches) }
        }.map(\.rawValue)
        let hasTypes = !facts.imageTypes.isEmpty && facts.imageTypes.allSatisfy { values in
            imageType.allSatisfy { pattern in values.contains(where: pattern.matches) }
        }
        if !imageType.isEmpty, !hasTypes { names.append("imageType") }
        for number in Selection.Number.allCases {
            guard let wanted = numbers[number] else { continue }
            guard let found = facts.numbers[number] else {
                names.append("\(number.rawValue) not stated")
                continue
            }
            if found.lowerBound < wanted.lowerBound || found.upperBound > wanted.upperBound { names.append("\(number.rawValue) \(found.brief)") }
        }
        return names
    }
}

extension ClosedRange<Double> {
    /// One number, or from one to another; two decimals at most.
    var brief: String {
        func brief(_ value: Double) -> String {
            let rounded = (value * 100).rounded() / 100
            return rounded.magnitude < 1e9 && rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
        }
        return brief(lowerBound) == brief(upperBound) ? brief(lowerBound) : "\(brief(lowerBound))-\(brief(upperBound))"
    }
}
