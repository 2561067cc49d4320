/// Slices of a series that lie side by side, by their headers alone: what a volume may be made of once the pixels are read.
public struct HeaderStack: Sendable {
    /// In no order.
    public let slices: [SliceHeader]
    /// What tells it from the series' other stacks, in words, such as `Convolution Kernel B70f`; empty where it is the only one.
    public let distinction: String

    /// The stacks among the instances of a series, the one that is usually read first: no slice missing, the most slices, the thinnest.
    ///
    /// Localizers, instances of other classes and what has no position are no slices. None where there is no slice.
    public static func stacks(of headers: [SliceHeader]) -> [HeaderStack] {
        let slices = headers.flatMap(\.slices).filter { $0.isCTSlice && $0.positionLPS != nil && $0.columnIndexDirection != nil && $0.rowIndexDirection != nil }
        func length(_ places: [Double]) -> Double { (places.last ?? 0) - (places.first ?? 0) }
        let ranked = StackSplit.parts(of: slices).map { part in
            let stack = HeaderStack(slices: part.indices.map { slices[$0] }, distinction: part.distinctions.joined(separator: ", "))
            let places = SliceStack.places(of: stack.slices)
            let isWhole = places.count >= SliceStack.minimumSlices && Steps(places).irregularity == nil
            return (stack: stack, isWhole: isWhole, places: places)
        }
        return ranked.enumerated().sorted { one, other in
            let (a, b) = (one.element, other.element)
            if a.isWhole != b.isWhole { return a.isWhole }
            if a.places.count != b.places.count { return a.places.count > b.places.count }
            let (length, otherLength) = (length(a.places), length(b.places))
            return (length - otherLength).magnitude > SliceStack.positionToleranceMM ? length < otherLength : one.offset < other.offset
        }.map(\.element.stack)
    }
}
