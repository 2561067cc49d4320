/// How one stack of a series stands beside the others. The rule is one for headers as they arrive and for files as they are read;
/// only whether a stack is whole, the reader knows better.
struct StackRank {
    let isWhole: Bool
    /// The different heights of its slices, and how far these are apart on average.
    private let slices: Int
    private let spacingMM: Double

    init(_ headers: [SliceHeader], isWhole: ([Double]) -> Bool) {
        let places = SliceStack.places(of: headers)
        self.isWhole = isWhole(places)
        slices = places.count
        spacingMM = slices > 1 ? (places[slices - 1] - places[0]) / Double(slices - 1) : 0
    }

    /// The order of preference, the stack that is usually read first: one that can be a volume, with the most slices, of these the
    /// thinnest, of these the first. Spacings that differ by the tolerance of positions are the same.
    static func order(_ ranks: [StackRank]) -> [Int] {
        func key(_ n: Int) -> (Int, Int, Double, Int) { (ranks[n].isWhole ? 0 : 1, -ranks[n].slices, ranks[n].spacingMM, n) }
        var order = ranks.indices.sorted { key($0) < key($1) }
        guard let thinnest = order.first.map({ ranks[$0] }) else { return [] }
        let usual = ranks.firstIndex { rank in
            rank.isWhole == thinnest.isWhole && rank.slices == thinnest.slices && rank.spacingMM <= thinnest.spacingMM + SliceStack.positionToleranceMM
        }!
        order.removeAll { $0 == usual }
        return [usual] + order
    }
}
