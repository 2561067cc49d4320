extension SliceStack {
    /// The different heights of slices along the normal of the first, in millimetres, sorted; slices without a position have none.
    public static func places(of headers: [SliceHeader]) -> [Double] {
        guard let first = headers.first(where: { $0.columnIndexDirection != nil }), let a = first.columnIndexDirection, let b = first.rowIndexDirection
        else { return [] }
        let heights = headers.compactMap { $0.positionLPS.map { ($0 * cross(a, b)).sum() } }.filter(\.isFinite).sorted()
        return heights.enumerated().filter { $0.offset == 0 || $0.element - heights[$0.offset - 1] > duplicateToleranceMM }.map(\.element)
    }
}
