import Synchronization

/// What localisers found in one scan with one template set, so that methods that share one find it once: for evaluation.
public final class PlaceMemory: Sendable {
    private let known = Mutex<[LocaliserChoice: [String: PlacedStructure]]>([:])

    public init() {}

    /// What is known of a localiser, else what `localise` finds.
    func places(_ localiser: LocaliserChoice, _ localise: () throws -> [String: PlacedStructure]) rethrows -> [String: PlacedStructure] {
        if let places = known.withLock({ $0[localiser] }) { return places }
        let places = try localise()
        known.withLock { $0[localiser] = places }
        return places
    }
}
