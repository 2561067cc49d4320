import DICOMCore

/// Splits the slices of a series into stacks.
///
/// Slices of different direction, matrix or pixel spacing are never of one stack. The rest is one stack if it is even, or if nothing tells
/// its slices apart where they lie upon or between each other; else the first of the `StackKey`s, or the first two together, that puts them apart does.
enum StackSplit {
    struct Part {
        /// Which of the headers, in their order.
        var indices: [Int]
        /// What tells it from the series' other parts, such as "Convolution Kernel B70f"; empty where there are none.
        var distinctions: [String] = []
    }

    /// All headers must have a position and directions.
    static func parts(of headers: [SliceHeader]) -> [Part] {
        var grids: [Part] = [], known: [Grid: Int] = [:]
        for (n, header) in headers.enumerated() {
            let own = Grid(header)
            let grid = known[own] ?? grids.prefix(maximumCompared).firstIndex { differences(header, headers[$0.indices[0]]).isEmpty } ?? grids.count
            if grid == grids.count { grids.append(Part(indices: [])) }
            grids[grid].indices.append(n)
            known[own] = grid
        }
        if grids.count > 1 {
            let largest = grids.max { $0.indices.count < $1.indices.count }!.indices[0]
            for n in grids.indices {
                let different = differences(headers[grids[n].indices[0]], headers[largest])
                grids[n].distinctions = [different.isEmpty ? "the most slices" : "other " + different.joined(separator: ", ")]
            }
        }
        return grids.flatMap { split($0, headers) }
    }

    /// Of a series of more grids than any scan has, later ones are told apart by every digit: comparing all with all would take hours.
    private static let maximumCompared = 64

    private struct Grid: Hashable {
        let rows, columns: Int?, pixelSpacingMM: SIMD2<Double>?, columnIndexDirection, rowIndexDirection: SIMD3<Double>?

        init(_ header: SliceHeader) {
            (rows, columns, pixelSpacingMM) = (header.rows, header.columns, header.pixelSpacingMM)
            (columnIndexDirection, rowIndexDirection) = (header.columnIndexDirection, header.rowIndexDirection)
        }
    }

    /// Why two slices cannot be of one stack.
    private static func differences(_ one: SliceHeader, _ other: SliceHeader) -> [String] {
        func differ(_ a: SIMD3<Double>?, _ b: SIMD3<Double>?) -> Bool {
            guard let a, let b else { return a != b }
            return max((a - b).max(), (b - a).max()) > SliceStack.orientationTolerance
        }
        func differ(_ a: SIMD2<Double>?, _ b: SIMD2<Double>?) -> Bool {
            guard let a, let b else { return a != b }
            return max((a / b).max(), (b / a).max()) > 1 + SliceStack.pixelSpacingTolerance
        }
        return [
            one.rows != other.rows || one.columns != other.columns ? "Rows or Columns" : nil,
            differ(one.pixelSpacingMM, other.pixelSpacingMM) ? "Pixel Spacing" : nil,
            differ(one.columnIndexDirection, other.columnIndexDirection) || differ(one.rowIndexDirection, other.rowIndexDirection)
                ? "Image Orientation (Patient)" : nil,
        ].compactMap { $0 }
    }

    private static func split(_ part: Part, _ headers: [SliceHeader]) -> [Part] {
        guard part.indices.count >= 2 * SliceStack.minimumSlices else { return [part] }
        let heights = heights(part.indices, headers), sorted = heights.values.sorted(), isOverlaid = holdsDuplicates(sorted)
        guard isOverlaid || !Steps(sorted).isEven else { return [part] }
        let keys = StackKey.allCases.filter { key in Set(part.indices.map { headers[$0].value(of: key) }).count > 1 }
        let pairs = keys.indices.flatMap { n in keys[(n + 1)...].map { [keys[n], $0] } }
        for keys in keys.map({ [$0] }) + pairs {
            let groups = Dictionary(grouping: part.indices) { n in keys.map { headers[n].value(of: $0) } }
            guard separates(groups.values.map { group in group.map { heights[$0]! }.sorted() }, isOverlaid: isOverlaid) else { continue }
            return groups.sorted { order($0.key, $1.key) }.flatMap { values, indices in
                let named = zip(keys, values).map { $1.isEmpty ? "no \($0.rawValue)" : "\($0.rawValue) \($1)" }
                return split(Part(indices: indices, distinctions: part.distinctions + named), headers)
            }
        }
        return splitAtHole(part, headers)
    }

    /// Splits where two scans lie far apart, as of two regions in one go: the stacks on both sides of the hole are whole, and one key has
    /// one value below it and another above. A narrower hole, or one that nothing else marks, may be slices that were lost.
    private static func splitAtHole(_ part: Part, _ headers: [SliceHeader]) -> [Part] {
        let heights = heights(part.indices, headers)
        let ordered = part.indices.sorted { heights[$0]! < heights[$1]! }
        guard ordered.count >= 2 * SliceStack.minimumSlices, let hole = Steps(ordered.map { heights[$0]! }).hole else { return [part] }
        let sides = [Array(ordered[...hole]), Array(ordered[(hole + 1)...])]
        let gap = heights[ordered[hole + 1]]! - heights[ordered[hole]]!
        let areApart = sides.allSatisfy { side in
            let places = side.map { heights[$0]! }
            guard side.count >= SliceStack.minimumSlices, Steps(places).irregularity == nil else { return false }
            return gap >= SliceStack.apartSteps * (places.last! - places[0]) / Double(places.count - 1)
        }
        let key = StackKey.allCases.first { key in
            let values = sides.map { side in Set(side.map { headers[$0].value(of: key) }) }
            return values.allSatisfy { $0.count == 1 } && values[0] != values[1]
        }
        guard areApart, let key else { return [part] }
        return sides.map { side in
            let value = headers[side[0]].value(of: key)
            return Part(indices: side, distinctions: part.distinctions + [value.isEmpty ? "no \(key.rawValue)" : "\(key.rawValue) \(value)"])
        }
    }

    /// Whether groups of slices, by their heights, are stacks that lie at the same place.
    ///
    /// Where slices lie upon each other, no group may hold two at one height. Where none do, each group must be a whole stack
    /// by itself, and two of them must run through each other.
    private static func separates(_ groups: [[Double]], isOverlaid: Bool) -> Bool {
        let stacks = groups.filter { $0.count >= SliceStack.minimumSlices }
        guard stacks.count > 1 else { return false }
        if isOverlaid { return !groups.contains(where: holdsDuplicates) }
        guard stacks.allSatisfy({ Steps($0).irregularity == nil }) else { return false }
        return stacks.indices.contains { n in
            stacks[(n + 1)...].contains { other in
                let step = zip(other.dropFirst(), other).map { $0 - $1 }.max()!
                return min(stacks[n].last!, other.last!) - max(stacks[n][0], other[0]) > step
            }
        }
    }

    private static func holdsDuplicates(_ heights: [Double]) -> Bool {
        zip(heights.dropFirst(), heights).contains { $0 - $1 <= SliceStack.duplicateToleranceMM }
    }

    private static func heights(_ indices: [Int], _ headers: [SliceHeader]) -> [Int: Double] {
        let first = headers[indices[0]], normal = SliceStack.cross(first.columnIndexDirection!, first.rowIndexDirection!)
        return Dictionary(uniqueKeysWithValues: indices.map { ($0, (headers[$0].positionLPS! * normal).sum()) })
    }

    /// Numbers by their value, other text by its letters.
    private static func order(_ a: [String], _ b: [String]) -> Bool {
        for (a, b) in zip(a, b) where a != b {
            if let a = Double(a), let b = Double(b) { return a < b }
            return a < b
        }
        return false
    }
}
