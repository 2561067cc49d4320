import ImagingGeometry

/// Puts every structure where it lies in the supports' bodies on average, without looking further: what any localiser must beat.
///
/// Body coordinates: in plane from the middle of the body's box, along z from the highest slice that shows the body.
struct TemplateBoxLocaliser: StructureLocaliser {
    /// Made for `template-box`.
    let templates: TemplateSet

    func localise(_ volume: WorkingVolume, seed: UInt64, progress: @escaping Progress) throws -> [String: PlacedStructure] {
        guard let body = volume.body, let scenes = templates.scenes else { return [:] }
        let opinions = zip(templates.supports, scenes).map { support, own in support.mapValues { $0.moved(by: Self.reference(body) - Self.reference(own.body)) } }
        var placed: [String: PlacedStructure] = [:]
        for definition in templates.structures {
            let voters = opinions.compactMap { $0[definition.name] }
            guard !voters.isEmpty else { continue }
            let points = voters[0].indices.map { n in mean(voters.map { $0[n] }) }, boxes = voters.map { Bounds($0)! }
            placed[definition.name] = PlacedStructure(points: points, bounds: Bounds(low: mean(boxes.map(\.low)), high: mean(boxes.map(\.high))),
                                                      similarity: nil, of: definition.name, templates)
        }
        return placed
    }

    private static func reference(_ body: Bounds) -> SIMD3<Double> { [body.centre.x, body.centre.y, body.high.z] }
}
