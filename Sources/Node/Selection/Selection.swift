import DICOMImaging
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

/// The rules' decision on one series.
struct SelectionDecision: Sendable {
    /// What the rules make of one of its stacks.
    struct Stack: Sendable {
        let slices: [SliceHeader]
        let distinction: String
        let facts: SeriesFacts
        /// The first rule that matches, and its place among the rules.
        let rule: (place: Int, rule: Configuration.Selection.Rule)?
        let record: SelectionRecord
    }
    /// Never empty; the one that is usually read first.
    let stacks: [Stack]
    /// Which of them decides.
    let chosen: Int
    var stack: Stack { stacks[chosen] }

    var rule: Configuration.Selection.Rule? { stack.rule?.rule }
    /// Why, for the series.
    var record: SelectionRecord {
        var record = stack.record
        if stacks.count > 1 { record.reason += " Of \(stacks.count) stacks in the series, this is the one of \(stack.slices.count) slices." }
        return record
    }
    /// The instances to be read, by SOP Instance UID; nil for all of the series.
    var instances: [String]? { stacks.count > 1 ? Set(stack.slices.map(\.sopInstanceUID.string)).sorted() : nil }
}

extension Configuration.Selection {
    /// The template sets that rules name, each once.
    var templateSets: [String] { Set(rules.compactMap(\.templateSet)).sorted() }

    /// What the first rules that match make of a series' stacks; the earliest rule that contours one wins, then the stack that is usually read,
    /// but of stacks with as many slices a soft one.
    func decide(_ headers: [SliceHeader]) -> SelectionDecision {
        let stacks = Self.separableStacks(of: headers).map { decide($0.slices, $0.distinction) }
        func rank(_ stack: SelectionDecision.Stack) -> Int {
            switch stack.rule {
            case let (place, rule)? where rule.templateSet != nil: place
            case .some: rules.count
            case nil: rules.count + 1
            }
        }
        // `min` takes the first of equals.
        let usual = stacks.indices.min { rank(stacks[$0]) < rank(stacks[$1]) }!
        let soft = stacks[usual].rule?.rule.best?.softKernel ?? Best.usualSoftKernel
        let equals = stacks.indices.filter { rank(stacks[$0]) == rank(stacks[usual]) && stacks[$0].slices.count == stacks[usual].slices.count }
        return SelectionDecision(stacks: stacks, chosen: equals.first { stacks[$0].facts.isSoft(soft) } ?? usual)
    }

    /// The stacks that a job can be made of one by one: those in one multi-frame instance cannot, and the usual one stands for them. Where
    /// no slice says where it lies, all are one.
    private static func separableStacks(of headers: [SliceHeader]) -> [(slices: [SliceHeader], distinction: String)] {
        let stacks = HeaderStack.stacks(of: headers)
        guard let usual = stacks.first else { return [(headers.flatMap(\.slices), "")] }
        let owners = stacks.map { Set($0.slices.map(\.sopInstanceUID)) }
        let areSeparate = owners.map(\.count).reduce(0, +) == owners.reduce(Set()) { $0.union($1) }.count
        return areSeparate ? stacks.map { ($0.slices, $0.distinction) } : [(usual.slices, "")]
    }

    private func decide(_ slices: [SliceHeader], _ distinction: String) -> SelectionDecision.Stack {
        let facts = SeriesFacts(slices)
        var misses: [String] = []
        for (place, rule) in rules.enumerated() {
            let unmet = rule.when.unmet(by: facts)
            guard unmet.isEmpty else {
                misses.append("\(rule.name) (\(unmet.joined(separator: ", ")))")
                continue
            }
            let reason = rule.templateSet.map { "Rule \(rule.name) matches: template set \($0)." } ?? "Rule \(rule.name) matches: not to be contoured."
            return SelectionDecision.Stack(
                slices: slices, distinction: distinction, facts: facts, rule: (place, rule),
                record: SelectionRecord(rule: rule.name, templateSet: rule.templateSet, reason: reason))
        }
        let reason = misses.isEmpty ? "No selection rule matches: there is none." : "No selection rule matches; unmet: \(misses.joined(separator: "; "))."
        return SelectionDecision.Stack(
            slices: slices, distinction: distinction, facts: facts, rule: nil, record: SelectionRecord(rule: nil, templateSet: nil, reason: reason))
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
