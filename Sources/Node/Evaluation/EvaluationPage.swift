import Foundation

/// The report as one HTML file that needs no other: tables, plots, pictures.
struct EvaluationPage {
    /// A case to look at.
    struct Picture {
        let caption: String
        /// Nil where it could not be drawn.
        let png: [UInt8]?
    }

    let report: EvaluationReport
    let pictures: [Picture]

    func html() -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><title>Evaluation</title><style>\(Self.style)</style></head><body>
        <h1>Evaluation</h1>
        \(introduction)
        <h2>Table</h2>
        \(table)
        <h2>Box plots</h2>
        \(plots)
        <h2>Confidence</h2>
        \(confidence)
        <h2>What one voxel is worth</h2>
        \(voxels)
        <h2>Cost</h2>
        \(cost)
        \(worst)\(failures)
        </body></html>

        """
    }

    // MARK: - Parts

    private var introduction: String {
        let draws = report.draws.map { draw in
            let name = draw.seed.map { "seed \($0)" } ?? "installed"
            let parts = ["\(name): template set \(draw.templateSet)"] + (draw.supports.isEmpty ? [] : ["supports " + draw.supports.joined(separator: ", ")])
                + (draw.lacking.isEmpty ? [] : ["without " + draw.lacking.joined(separator: ", ") + ", which no support has"])
            return "<li>\(Plot.escaped(parts.joined(separator: "; ")))</li>"
        }.joined()
        return """
            <p>\(Plot.escaped(report.software)) on \(report.cases.count) cases, by DICOM in to SEG out; masks are those read back from the SEG. Figures are means over the draws' means:</p>
            <ul>\(draws)</ul>
            <p><em>All masks</em> counts those withheld, too, and a Dice of 0 where none was made; <em>given out</em> only what left the node.
            Green reaches the bar, red does not.</p>
            """
    }

    private var table: String {
        let head = Self.row("th", ["structure", "method", "cases", "localiser's box IoU %", "WD mm", "Dice %, all masks", "HD95 mm", "surface Dice % (3 mm)", "mask's box IoU %",
                                   "WD mm", "Dice %, given out", "HD95 mm", "surface Dice %", "withheld (rightly)", "not in field of view", "Dice % by draw"])
        return "<table>" + head + report.rows.map { row in
            let figures = row.mean, bar = EvaluationBar.of(row.structure, row.extent)
            func share(_ value: Double?, _ least: Double?) -> String { Self.cell(Self.percent(value), least.map { ("> \(Self.percent($0))", (value ?? 0) > $0) }) }
            func length(_ value: Double?, _ most: Double?) -> String { Self.cell(Self.decimal(value), most.map { ("< \($0)", (value ?? .infinity) < $0) }) }
            return "<tr>" + [Self.name(row.structure, row.extent), row.method, Self.decimal(figures.cases)].map { Self.cell(Plot.escaped($0)) }.joined()
                + share(figures.boxIoU, bar?.boxIoU) + length(figures.boxWallDistanceMM, bar?.boxWallDistanceMM) + share(figures.made.dice, bar?.dice)
                + [Self.decimal(figures.made.hd95MM), Self.percent(figures.made.surfaceDice)].map { Self.cell($0) }.joined()
                + share(figures.made.boxIoU, bar?.boxIoU) + length(figures.made.boxWallDistanceMM, bar?.boxWallDistanceMM)
                + [Self.percent(figures.givenOut.dice), Self.decimal(figures.givenOut.hd95MM), Self.percent(figures.givenOut.surfaceDice),
                   "\(Self.decimal(figures.withheld)) (\(Self.decimal(figures.rightlyWithheld)))", Self.decimal(figures.notInFieldOfView),
                   row.draws.map { Self.percent($0.made.dice) }.joined(separator: " / ")].map { Self.cell($0) }.joined() + "</tr>"
        }.joined(separator: "\n") + "</table>"
    }

    private var plots: String {
        var seen: [(structure: String, extent: StructureScore.Extent)] = []
        for row in report.rows where !seen.contains(where: { $0 == (row.structure, row.extent) }) { seen.append((row.structure, row.extent)) }
        return seen.map { structure, extent in
            let bar = EvaluationBar.of(structure, extent)
            func lines(_ value: (StructureScore) -> Double?) -> [Plot.Line] {
                report.methods.map { method in
                    Plot.Line(label: method, values: report.scores.filter { $0.method == method }.flatMap(\.structures)
                        .filter { $0.name == structure && $0.extent == extent }.compactMap(value))
                }
            }
            return "<h3>\(Plot.escaped(Self.name(structure, extent)))</h3><div class=\"plots\">"
                + Plot.boxes("Dice, all masks", lines { $0.mask?.dice ?? 0 }, range: 0...1, bar: bar?.dice)
                + Plot.boxes("Localiser's box IoU", lines { $0.box?.iou ?? 0 }, range: 0...1, bar: bar?.boxIoU)
                + Plot.boxes("Localiser's WD, mm (20: and more)", lines { $0.box?.wallDistanceMM }, range: 0...20, bar: bar?.boxWallDistanceMM)
                + Plot.boxes("HD95, mm (30: and more)", lines { $0.mask?.hd95MM }, range: 0...30) + "</div>"
        }.joined(separator: "\n")
    }

    private var confidence: String {
        let head = Self.row("th", ["method", "structure", "masks of Dice < 0.5", "withheld (goal: 90 %)", "masks of Dice > 0.75", "withheld (goal: 5 % at most)"])
        func share(_ part: Int, _ whole: Int) -> String { whole == 0 ? "-" : "\(part) (\(Self.percent(Double(part) / Double(whole))) %)" }
        let rows = report.confidences.map { one in
            Self.row("td", [one.method, one.structure ?? "all", "\(one.poor)", share(one.poorWithheld, one.poor), "\(one.good)", share(one.goodWithheld, one.good)])
        }
        return "<div class=\"plots\">" + report.confidences.filter { $0.structure == nil }.map { Plot.reliability($0.method, $0) }.joined() + "</div><table>" + head + rows.joined() + "</table>"
    }

    private var voxels: String {
        let head = Self.row("th", ["structure", "box IoU %, every face one voxel out", "one voxel in"])
        let rows = report.rows.filter { $0.method == report.methods.first }.map { Self.row("td", [Self.name($0.structure, $0.extent), Self.percent($0.mean.oneVoxelOut), Self.percent($0.mean.oneVoxelIn)]) }
        return "<p>The clinician's own box, each face moved by one voxel of the CT.</p><table>" + head + rows.joined() + "</table>"
    }

    private var cost: String {
        let head = Self.row("th", ["method", "cases", "localising s", "segmenting s", "in all s", "longest s", "peak memory MB"])
        let rows = report.costs.map { one in
            Self.row("td", [one.method, "\(one.cases)"] + [one.localisingSeconds, one.segmentingSeconds, one.totalSeconds, one.longestSeconds].map { Self.decimal($0) } + ["\(one.peakMemoryMegabytes)"])
        }
        return "<table>" + head + rows.joined() + "</table>"
    }

    private var worst: String {
        guard !pictures.isEmpty else { return "" }
        return "<h2>Worst cases given out</h2><p>\(Plot.escaped(report.methods.first ?? "")): the clinician's contour in green, the node's in red, in the slice where they differ most.</p><div class=\"plots\">" + pictures.map { picture in
            let caption = Plot.escaped(picture.caption)
            let image = picture.png.map { "<img alt=\"\(caption)\" src=\"data:image/png;base64,\(Data($0).base64EncodedString())\">" } ?? ""
            return "<figure>\(image)<figcaption>\(caption)</figcaption></figure>"
        }.joined(separator: "\n") + "</div>"
    }

    private var failures: String {
        guard !report.failures.isEmpty else { return "" }
        let rows = report.failures.map { Self.row("td", [$0.caseName, $0.seed.map { "\($0)" } ?? "-", $0.method ?? "-", $0.reason]) }
        return "<h2>Not judged</h2><table>" + Self.row("th", ["case", "seed", "method", "reason"]) + rows.joined() + "</table>"
    }

    // MARK: - Words

    private static func row(_ tag: String, _ cells: [String]) -> String { "<tr>" + cells.map { "<\(tag)>\(Plot.escaped($0))</\(tag)>" }.joined() + "</tr>" }

    private static func cell(_ value: String, _ bar: (text: String, isReached: Bool)? = nil) -> String {
        bar.map { "<td class=\"\($0.isReached ? "good" : "poor")\">\(value) <small>\(Plot.escaped($0.text))</small></td>" } ?? "<td>\(value)</td>"
    }

    static func name(_ structure: String, _ extent: StructureScore.Extent) -> String { structure + (extent == .contouredSlices ? ", contoured slices" : "") }

    static func percent(_ share: Double?) -> String { share.map { Plot.number($0 * 100, 1) } ?? "-" }

    static func decimal(_ value: Double?) -> String { value.map { Plot.number($0, $0 == $0.rounded() ? 0 : 1) } ?? "-" }

    private static let style = """
        body{font:14px system-ui,sans-serif;margin:2em;max-width:110em;color:#222}table{border-collapse:collapse;margin:.5em 0}
        th,td{border-bottom:1px solid #ddd;padding:.25em .6em;text-align:left;vertical-align:top}td{font-variant-numeric:tabular-nums}
        .good{color:#1b7837}.poor{color:#b2182b}small{color:#777}.plots{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0}figcaption{max-width:320px}
        svg text{font-size:11px;fill:#333}svg .title{font-weight:bold}svg .tick{fill:#777;font-size:10px}.grid{stroke:#eee}.whisker{stroke:#555}
        .box{fill:#9ecae1;stroke:#3182bd}.median{stroke:#08306b;stroke-width:2}.out{fill:none;stroke:#3182bd}.bar{stroke:#b2182b;stroke-dasharray:4 3}
        .count{fill:#ddd}.curve{fill:none;stroke:#3182bd;stroke-width:2}.dot{fill:#3182bd}
        """
}
