import Foundation
import ImagingGeometry
import MedLSAM

/// The support patients of one draw, and the template set made of them.
struct SupportDraw: Sendable {
    /// What is kept beside the template set.
    struct Record: Codable, Sendable {
        /// What was drawn from and for; another basis makes the template set void.
        let basis: String
        let supports: [String]
        /// Those that came first and could not be used.
        let passedOver: [EvaluationReport.Failure]
        /// What the template set was made to serve; more makes it anew, of the same supports.
        let localisers: [LocaliserChoice]
    }

    /// Nil for an installed template set.
    let seed: Int?
    /// The folders' names; empty for an installed set.
    let supports: [String]
    let templates: TemplateSet
    let passedOver: [EvaluationReport.Failure]
    /// What the scores that are made with it rest on.
    let basis: String

    var name: String { Self.name(seed) }
    static func name(_ seed: Int?) -> String { seed.map { "seed-\($0)" } ?? "installed" }
}

extension SupportDraw {
    /// A draw of the record's supports.
    fileprivate init(seed: Int, _ record: Record, _ templates: TemplateSet) {
        self.init(seed: seed, supports: record.supports, templates: templates, passedOver: record.passedOver,
                  basis: digest(([record.basis] + record.supports).joined(separator: "\n")))
    }
}

extension EvaluationPlan {
    /// Where what belongs to a draw is kept.
    private func folder(seed: Int?) -> URL { output.appending(path: "draws/\(SupportDraw.name(seed))") }

    /// Where a case's objects and score are kept.
    func folder(seed: Int?, method: String, caseName: String) -> URL { folder(seed: seed).appending(path: "\(method)/\(caseName)") }

    /// An installed template set as a draw.
    func installed(_ name: String, in library: TemplateLibrary) throws -> SupportDraw {
        let templates = try library.load(name)
        return SupportDraw(seed: nil, supports: [], templates: templates, passedOver: [], basis: digest(String(decoding: try templates.encoded(), as: UTF8.self)))
    }

    /// Draws supports and makes their template set, or reads what an earlier run kept of it.
    ///
    /// Folders that cannot be read, or in which nothing looked for is drawn, are passed over, and noted. Throws NodeError `unreadable`
    /// where too few are left, and what building throws.
    func draw(seed: Int, from pool: [URL], count: Int, models: ContouringModels) throws -> SupportDraw {
        let folder = folder(seed: seed)
        let (record, file) = (folder.appending(path: "draw.json"), folder.appending(path: "templates.json"))
        let structures = NodeJSON.encode(self.structures)
        let basis = digest(([structures, "\(count)", try models.digest(of: .medlamHN)] + pool.map(\.lastPathComponent)).joined(separator: "\n"))
        let known = (try? NodeJSON.decode(SupportDraw.Record.self, from: String(contentsOf: record, encoding: .utf8))).flatMap { $0.basis == basis ? $0 : nil }
        let localisers = Set(methods.map(\.localiser)).union(known?.localisers ?? [])
        if let known, localisers == Set(known.localisers), let templates = try? TemplateSet(decoding: Data(contentsOf: file)) {
            return SupportDraw(seed: seed, known, templates)
        }
        var supports: [ContouredCase] = [], passedOver: [EvaluationReport.Failure] = []
        for candidate in Self.drawn(pool, seed: seed) where supports.count < count {
            do {
                let one = try ContouredCase.read(candidate, rename: name)
                guard self.structures.contains(where: { one.masks[$0.name] != nil }) else {
                    throw NodeError(.unreadable, "\(one.name) has a contour of none of the structures.")
                }
                supports.append(one)
            } catch { passedOver.append(.init(caseName: candidate.lastPathComponent, seed: seed, method: nil, reason: "as a support: \(error)")) }
        }
        guard supports.count == count else {
            let reason = passedOver.first.map { " \($0.reason)" } ?? ""
            throw NodeError(.unreadable, "Of \(pool.count) support cases \(supports.count) can be read, fewer than the \(count) to draw.\(reason)")
        }
        let built = try TemplateBuilder(models: models).build(
            name: "evaluation", version: 1, provenance: "Drawn by seed \(seed): \(supports.map(\.name).joined(separator: ", "))",
            structures: self.structures.filter { structure in supports.contains { $0.masks[structure.name] != nil } },
            cases: supports.map { ($0.series.volume, $0.masks) }, localisers: localisers)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let encoded = try built.encoded()
        try encoded.write(to: file, options: .atomic)
        let drawn = SupportDraw.Record(basis: basis, supports: supports.map(\.name), passedOver: passedOver, localisers: localisers.sorted { $0.rawValue < $1.rawValue })
        try Data(NodeJSON.encode(drawn).utf8).write(to: record, options: .atomic)
        // As a node would read it: encoding rounds.
        return SupportDraw(seed: seed, drawn, try TemplateSet(decoding: encoded))
    }
}
