/// Slices of a series that lie side by side, by their headers alone: what a volume may be made of once the pixels are read.
public struct HeaderStack: Sendable {
    /// In no order.
    public let slices: [SliceHeader]
    /// What tells it from the series' other stacks, in words, such as `Convolution Kernel B70f`; empty where it is the only one.
    public let distinction: String

    /// The stacks among the instances of a series, the one that is usually read first (`StackRank`).
    ///
    /// Localizers, instances of other classes and what has no position are no slices. None where there is no slice.
    public static func stacks(of headers: [SliceHeader]) -> [HeaderStack] {
        let slices = headers.flatMap(\.slices).filter { $0.isCTSlice && $0.positionLPS != nil && $0.columnIndexDirection != nil && $0.rowIndexDirection != nil }
        let stacks = StackSplit.parts(of: slices).map { part in
            HeaderStack(slices: part.indices.map { slices[$0] }, distinction: part.distinctions.joined(separator: ", "))
        }
        let ranks = stacks.map { stack in
            StackRank(stack.slices) { $0.count >= SliceStack.minimumSlices && Steps($0).irregularity == nil }
        }
        return StackRank.order(ranks).map { stacks[$0] }
    }
}
