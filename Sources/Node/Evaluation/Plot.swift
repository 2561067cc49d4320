import Foundation

/// Plots as SVG elements that stand in a page by themselves; colours come from the page's style sheet.
enum Plot {
    /// A line of a box plot.
    struct Line {
        let label: String
        let values: [Double]
    }

    private static let labelWidth = 170.0, plotWidth = 260.0, lineHeight = 20.0, axisHeight = 24.0

    /// Quartiles as a box with the median, whiskers to the farthest within 1.5 of its length (Tukey), what lies beyond as dots; `bar` is a line
    /// through all.
    static func boxes(_ title: String, _ lines: [Line], range: ClosedRange<Double>, bar: Double? = nil) -> String {
        let height = Double(lines.count) * lineHeight, width = labelWidth + plotWidth + 12
        func x(_ value: Double) -> Double { labelWidth + (min(max(value, range.lowerBound), range.upperBound) - range.lowerBound) / (range.upperBound - range.lowerBound) * plotWidth }
        var body = ticks(range).map { tick in
            line(x(tick), 18, x(tick), 18 + height, "grid") + text(x(tick), 18 + height + 14, number(tick), "tick", "middle")
        }.joined()
        for (n, one) in lines.enumerated() {
            let middle = 18 + (Double(n) + 0.5) * lineHeight
            body += text(labelWidth - 6, middle + 4, one.label, "label", "end")
            body += box(one.values.sorted(), middle, x)
        }
        if let bar { body += line(x(bar), 18, x(bar), 18 + height, "bar") }
        return svg(title, width: width, height: 18 + height + axisHeight, text(0, 11, title, "title", "start") + body)
    }

    private static func box(_ sorted: [Double], _ middle: Double, _ x: (Double) -> Double) -> String {
        guard let (low, median, high) = quartiles(sorted) else { return "" }
        let reach = 1.5 * (high - low), inside = sorted.filter { $0 >= low - reach && $0 <= high + reach }, half = lineHeight * 0.32
        return line(x(inside.first ?? low), middle, x(inside.last ?? high), middle, "whisker")
            + "<rect class=\"box\" x=\"\(number(x(low), 1))\" y=\"\(number(middle - half, 1))\" width=\"\(number(max(x(high) - x(low), 1), 1))\" height=\"\(number(2 * half, 1))\"/>"
            + line(x(median), middle - half, x(median), middle + half, "median")
            + sorted.filter { $0 < low - reach || $0 > high + reach }.map { "<circle class=\"out\" cx=\"\(number(x($0), 1))\" cy=\"\(number(middle, 1))\" r=\"2\"/>" }.joined()
    }

    /// Linear between the two nearest of sorted values; nil without any.
    static func quartiles(_ sorted: [Double]) -> (low: Double, median: Double, high: Double)? {
        guard !sorted.isEmpty else { return nil }
        func at(_ share: Double) -> Double {
            let place = share * Double(sorted.count - 1), n = Int(place)
            return sorted[n] + (place - Double(n)) * (sorted[min(n + 1, sorted.count - 1)] - sorted[n])
        }
        return (at(0.25), at(0.5), at(0.75))
    }

    /// Mean Dice over confidence with the line of perfect agreement, and how many masks each bin has.
    static func reliability(_ title: String, _ confidence: EvaluationReport.Confidence) -> String {
        let side = 220.0, left = 40.0, top = 18.0, most = Double(confidence.bins.map(\.masks).max() ?? 1)
        func x(_ value: Double) -> Double { left + value * side }
        func y(_ value: Double) -> Double { top + (1 - value) * side }
        var body = stride(from: 0.0, through: 1, by: 0.25).map { tick in
            line(x(tick), y(0), x(tick), y(1), "grid") + line(x(0), y(tick), x(1), y(tick), "grid")
                + text(x(tick), y(0) + 14, number(tick), "tick", "middle") + text(left - 4, y(tick) + 4, number(tick), "tick", "end")
        }.joined()
        for bin in confidence.bins where bin.masks > 0 {
            let height = Double(bin.masks) / most * side * 0.3
            body += "<rect class=\"count\" x=\"\(number(x(bin.from) + 1, 1))\" y=\"\(number(y(0) - height, 1))\" width=\"\(number(x(bin.to) - x(bin.from) - 2, 1))\" height=\"\(number(height, 1))\"/>"
            body += text((x(bin.from) + x(bin.to)) / 2, y(0) - height - 2, "\(bin.masks)", "tick", "middle")
        }
        body += line(x(0), y(0), x(1), y(1), "bar")
        let points = confidence.bins.compactMap { bin in bin.dice.flatMap { dice in bin.confidence.map { (x($0), y(dice)) } } }
        body += "<polyline class=\"curve\" points=\"\(points.map { "\(number($0.0, 1)),\(number($0.1, 1))" }.joined(separator: " "))\"/>"
        body += points.map { "<circle class=\"dot\" cx=\"\(number($0.0, 1))\" cy=\"\(number($0.1, 1))\" r=\"3\"/>" }.joined()
        return svg(title, width: left + side + 12, height: top + side + 36, text(0, 11, title, "title", "start") + body
            + text(x(0.5), y(0) + 30, "confidence (line: mean Dice, columns: masks)", "tick", "middle"))
    }

    private static func ticks(_ range: ClosedRange<Double>) -> [Double] {
        (0...4).map { range.lowerBound + Double($0) / 4 * (range.upperBound - range.lowerBound) }
    }

    private static func svg(_ title: String, width: Double, height: Double, _ body: String) -> String {
        "<svg role=\"img\" aria-label=\"\(escaped(title))\" viewBox=\"0 0 \(number(width, 0)) \(number(height, 0))\" width=\"\(number(width, 0))\" height=\"\(number(height, 0))\">\(body)</svg>"
    }

    private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ name: String) -> String {
        "<line class=\"\(name)\" x1=\"\(number(x1, 1))\" y1=\"\(number(y1, 1))\" x2=\"\(number(x2, 1))\" y2=\"\(number(y2, 1))\"/>"
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, _ name: String, _ anchor: String) -> String {
        "<text class=\"\(name)\" x=\"\(number(x, 1))\" y=\"\(number(y, 1))\" text-anchor=\"\(anchor)\">\(escaped(text))</text>"
    }

    /// With so many decimals; without, as short as two decimals allow.
    static func number(_ value: Double, _ decimals: Int? = nil) -> String {
        if let decimals { return String(format: "%.\(decimals)f", value) }
        let text = String(format: "%.2f", value)
        return String(text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed())
    }

    /// Text as it may stand in HTML.
    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}
