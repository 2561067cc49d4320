import ArgumentParser
import DICOMImaging
import Foundation
import NodeConfiguration

/// Which objects a command writes, and how.
struct ResultsOptions: ParsableArguments {
    @Option(help: "What is written, and how: as for a destination of this profile.") var profile: Configuration.Results.Profile?
    @Option(help: "As for this destination of the settings, with all that they say of it.") var destination: String?
    @Option(help: "Objects instead of those: SEG, RTSTRUCT, OVERLAY, SUMMARY, SR, PDF, separated by commas.", transform: kinds)
    var objects: [ResultKind]?
    @Option(help: "Content date and time in the objects, such as 2026-01-31T12:00:00+01:00; now when absent.", transform: Moment.init)
    var contentDate: Moment?

    func validate() throws {
        guard profile == nil || destination == nil else { throw ValidationError("Give --profile or --destination, not both.") }
    }

    /// What to write. Nobody is there to refuse a label map, so that nothing goes in its place.
    func specifications(_ configuration: Configuration) throws -> [ResultSpecification] { try Self.specifications(choices(configuration)) }

    static func specifications(_ results: Configuration.Results) -> [ResultSpecification] {
        results.items.filter { $0.condition != .ifNotTaken }.map(\.specification)
    }

    /// The choices of the profile or destination, with the objects that were named; there may be no settings.
    func choices(_ configuration: Configuration?) throws -> Configuration.Results {
        var results = Configuration.Results(profile ?? .generic)
        if let destination {
            let destinations = configuration?.destinations ?? []
            guard let found = destinations.first(where: { $0.name == destination }) else {
                let names = destinations.map(\.name).joined(separator: ", ")
                throw ValidationError("\(destination) is none of the destinations\(names.isEmpty ? "; there are none." : ": \(names).")")
            }
            results = found.results
        }
        if let objects { results.objects = objects }
        return results
    }

    /// A date and time with the zone that it was given in.
    struct Moment {
        let date: Date
        let zone: TimeZone

        init(_ text: String) throws {
            let parts = text.wholeMatch(of: /.+(Z|([+-])(\d\d):(\d\d))/)
            guard let parts, let date = try? Date(text, strategy: .iso8601) else {
                throw ValidationError("\(text) is no date and time such as 2026-01-31T12:00:00+01:00.")
            }
            let minutes = (Int(parts.3 ?? "") ?? 0) * 60 + (Int(parts.4 ?? "") ?? 0)
            guard let zone = TimeZone(secondsFromGMT: (parts.2 == "-" ? -minutes : minutes) * 60) else { throw ValidationError("\(text) is in no time zone.") }
            (self.date, self.zone) = (date, zone)
        }
    }
}

extension Configuration.Results.Profile: ExpressibleByArgument {}

private func kinds(_ text: String) throws -> [ResultKind] {
    let kinds = try text.split(separator: ",").map { word in
        guard let kind = ResultKind(rawValue: String(word)) else {
            throw ValidationError("\(word) is none of " + ResultKind.allCases.map(\.rawValue).joined(separator: ", ") + ".")
        }
        return kind
    }
    guard !kinds.isEmpty, Set(kinds).count == kinds.count else { throw ValidationError("\(text) must name objects, each once.") }
    return kinds
}
