import ImagingGeometry

/// Hounsfield units to grey levels by the linear VOI function (PS3.3 C.11.2.1.2.1).
struct Window {
    private let greys: [UInt8]

    init(_ options: CaptureOptions) {
        let center = options.windowCenter - 0.5, width = max(options.windowWidth - 1, 1e-6)
        greys = (0...UInt16.max).map { word in
            let share = (Double(Int16(bitPattern: word)) - center) / width + 0.5
            return UInt8((min(max(share, 0), 1) * 255).rounded())
        }
    }

    func grey(_ units: some Sequence<Int16>) -> [UInt8] {
        greys.withUnsafeBufferPointer { greys in units.map { greys[Int(UInt16(bitPattern: $0))] } }
    }
}

/// Where directions in the patient lead, in letters (PS3.3 C.7.6.1.1.1): Left, Right, Anterior, Posterior, Head, Foot.
enum Orientation {
    /// A letter for every axis that has at least this share of a unit direction, about 15 degrees: a scan that is a little askew is not
    /// called so.
    static let leastShare = 0.26

    /// Such as `L`, or `AR` where it leads more to the front than to the right.
    static func letters(_ direction: SIMD3<Double>) -> String {
        let letters = [("L", "R"), ("P", "A"), ("H", "F")]
        return (0..<3).filter { direction[$0].magnitude >= leastShare }.sorted { direction[$0].magnitude > direction[$1].magnitude }
            .map { direction[$0] > 0 ? letters[$0].0 : letters[$0].1 }.joined()
    }
}

/// How planes of a volume stand on the screen: which of its axes run to the right and downwards, and which way.
struct Section {
    struct Axis {
        let number: Int
        /// Whether its index falls to the right, or downwards.
        let isFlipped: Bool
    }

    let geometry: VolumeGeometry
    let across, down: Axis
    /// The axis that the planes are counted on.
    let along: Int

    /// The sections nearest to axial, coronal and sagittal, in radiological convention: the patient's right on the screen's left, front or
    /// head on top; in sagittal ones the front on the left.
    static func anatomical(_ geometry: VolumeGeometry) -> (axial: Section, coronal: Section, sagittal: Section) {
        let directions = [geometry.columnIndexDirection, geometry.rowIndexDirection, geometry.sliceIndexDirection]
        // Which axis of the volume stands for the patient's x, y and z: together as parallel to them as can be.
        let axes = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
            .max { a, b in (0..<3).reduce(0) { $0 + directions[a[$1]][$1].magnitude } < (0..<3).reduce(0) { $0 + directions[b[$1]][$1].magnitude } }!
        func axis(_ patientAxis: Int, towards sign: Double) -> Axis {
            Axis(number: axes[patientAxis], isFlipped: directions[axes[patientAxis]][patientAxis] * sign < 0)
        }
        let left = axis(0, towards: 1), back = axis(1, towards: 1), foot = axis(2, towards: -1)
        return (Section(geometry: geometry, across: left, down: back, along: axes[2]),
                Section(geometry: geometry, across: left, down: foot, along: axes[1]),
                Section(geometry: geometry, across: back, down: foot, along: axes[0]))
    }

    /// Patient directions to the right and downwards.
    var right: SIMD3<Double> { direction(across) }
    var bottom: SIMD3<Double> { direction(down) }

    private func direction(_ axis: Axis) -> SIMD3<Double> {
        [geometry.columnIndexDirection, geometry.rowIndexDirection, geometry.sliceIndexDirection][axis.number] * (axis.isFlipped ? -1 : 1)
    }

    /// Voxels of a plane from a corner on (screen indices, which may lie outside), column fastest.
    func plane<Value>(_ index: Int, of voxels: [Value], from corner: SIMD2<Int>, size: SIMD2<Int>, outside: Value) -> [Value] {
        let steps = [1, geometry.size.x, geometry.size.x * geometry.size.y]
        /// Where the columns or rows of the screen lie in storage; -1 where they lie outside.
        func offsets(_ axis: Axis, _ start: Int, _ count: Int) -> [Int] {
            (start..<start + count).map { screen in
                let last = geometry.size[axis.number] - 1
                return (0...last).contains(screen) ? (axis.isFlipped ? last - screen : screen) * steps[axis.number] : -1
            }
        }
        let columns = offsets(across, corner.x, size.x), rows = offsets(down, corner.y, size.y), start = index * steps[along]
        var plane = [Value](repeating: outside, count: size.x * size.y)
        voxels.withUnsafeBufferPointer { voxels in
            plane.withUnsafeMutableBufferPointer { plane in
                for y in 0..<size.y where rows[y] >= 0 {
                    let row = start &+ rows[y]
                    for x in 0..<size.x where columns[x] >= 0 { plane[y &* size.x &+ x] = voxels[row &+ columns[x]] }
                }
            }
        }
        return plane
    }

    /// Screen index of a volume's index.
    func screen(_ index: SIMD3<Int>) -> SIMD2<Int> {
        func position(_ axis: Axis) -> Int { axis.isFlipped ? geometry.size[axis.number] - 1 - index[axis.number] : index[axis.number] }
        return [position(across), position(down)]
    }

    var spacingMM: SIMD2<Double> { [geometry.spacingMM[across.number], geometry.spacingMM[down.number]] }
}
