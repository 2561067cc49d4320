/// The squared distance in millimetres from each node of a grid to the nearest that is marked; infinity where none is.
///
/// Exact and linear in the number of nodes: lower envelopes of parabolas, an axis after the other (Felzenszwalb and Huttenlocher,
/// Theory of Computing 2012;8:415-428). `size` is (columns, rows, slices), columns fastest.
func squaredDistances(to marked: [Bool], size: SIMD3<Int>, spacingMM: SIMD3<Double>) -> [Double] {
    precondition(marked.count == size.x * size.y * size.z)
    var values = marked.map { $0 ? 0 : Double.infinity }
    let strides = SIMD3(1, size.x, size.x * size.y)
    for axis in 0..<3 {
        let (b, c) = ((axis + 1) % 3, (axis + 2) % 3)
        var envelope = Envelope(count: size[axis], step: spacingMM[axis])
        values.withUnsafeMutableBufferPointer { values in
            for j in 0..<size[c] {
                for i in 0..<size[b] { envelope.lower(values, from: i * strides[b] + j * strides[c], stride: strides[axis]) }
            }
        }
    }
    return values
}

/// The lower envelope of parabolas over the nodes of a line.
private struct Envelope {
    private let count: Int
    private let step: Double
    private var line: [Double]
    /// Nodes whose parabolas take part, and from where each is the lowest.
    private var tops: [Int], starts: [Double]

    init(count: Int, step: Double) {
        (self.count, self.step) = (count, step)
        line = Array(repeating: 0, count: count)
        tops = Array(repeating: 0, count: count)
        starts = Array(repeating: 0, count: count)
    }

    /// Replaces each value of a line by the smallest sum of a node's value and its squared distance.
    mutating func lower(_ values: UnsafeMutableBufferPointer<Double>, from first: Int, stride: Int) {
        var last = -1
        for n in 0..<count {
            let value = values[first + n * stride]
            line[n] = value
            guard value.isFinite else { continue }
            let here = Double(n) * step
            var start = -Double.infinity
            while last >= 0 {
                let top = Double(tops[last]) * step
                start = ((value + here * here) - (line[tops[last]] + top * top)) / (2 * (here - top))
                if start > starts[last] { break }
                last -= 1
                start = -Double.infinity
            }
            last += 1
            (tops[last], starts[last]) = (n, start)
        }
        guard last >= 0 else { return }
        var at = 0
        for n in 0..<count {
            let here = Double(n) * step
            while at < last, starts[at + 1] < here { at += 1 }
            let off = here - Double(tops[at]) * step
            values[first + n * stride] = line[tops[at]] + off * off
        }
    }
}
