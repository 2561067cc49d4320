import DICOMCore
import ImagingGeometry

/// What a given file says of a structure; nil where it does not say.
public struct GivenStructure: Sendable {
    /// Its number in the file: a label's value, Segment Number, ROI Number.
    public var number: Int
    /// Segment Label, ROI Name, or the name of a file of its own.
    public var name: String?
    public var category, type, laterality: CodedConcept?
    /// sRGB, 0 to 255.
    public var color: SIMD3<UInt8>?
    public var author: Authorship?

    public init(number: Int, name: String? = nil, category: CodedConcept? = nil, type: CodedConcept? = nil, laterality: CodedConcept? = nil,
                color: SIMD3<UInt8>? = nil, author: Authorship? = nil) {
        self.number = number
        self.name = name
        self.category = category
        self.type = type
        self.laterality = laterality
        self.color = color
        self.author = author
    }
}

/// The mask of a given structure where the scan's volume lies.
public struct PlacedMask: Sendable {
    /// On the working grid of the scan.
    public var mask: Mask
    /// On the slices of the scan, where these are not the working grid's and the mask was given there.
    public var sourceMask: SourceMask?
    /// On the working grid, where probabilities were given: inside is what is at least one half.
    public var probabilities: ProbabilityMap?

    init(mask: Mask, sourceMask: SourceMask? = nil, probabilities: ProbabilityMap? = nil) {
        self.mask = mask
        self.sourceMask = sourceMask
        self.probabilities = probabilities
    }

    /// A mask that lies on the slices.
    public init(_ mask: SourceMask) {
        self.init(mask: mask.grid.workingMask(mask), sourceMask: mask.grid.isRegular ? nil : mask)
    }
}

/// Masks from a file of somebody else: planes of pixels, each at its own place, that say what belongs to which structure.
///
/// Not Sendable: pixels are decoded from the file when they are asked for.
public struct GivenMasks {
    /// What messages call it.
    let name: String
    public let structures: [GivenStructure]
    /// Whether pixels are shares of 255 and not 0 or 1.
    public let isFractional: Bool
    let planes: PixelPlanes
    /// For each structure, the planes that may hold some of it.
    let planesOfStructure: [[Int]]
    /// Whether the planes are a whole block, so that one plane too few shows that they lie otherwise than the scan's.
    let isBlock: Bool
    /// The pixels of a structure (by its place in `structures`) in a plane: 0 or 1, or 0 to 255 where fractional; column fastest.
    let pixels: (_ structure: Int, _ plane: Int) throws(Refusal) -> [UInt8]
}

/// Planes of equally many pixels, all parallel or not, each with its own place in patient space.
struct PixelPlanes: Sendable {
    struct Plane: Sendable, Hashable {
        /// Patient position (LPS, mm) of the centre of the first pixel.
        let originLPS: SIMD3<Double>
        /// From one column, and from one row, to the next, in millimetres.
        let columnStep, rowStep: SIMD3<Double>

        /// Nil where the numbers are no place: not finite, beyond a kilometre, or steps of no length.
        init?(originLPS: SIMD3<Double>, columnStep: SIMD3<Double>, rowStep: SIMD3<Double>) {
            let parts = [originLPS, columnStep, rowStep]
            guard parts.allSatisfy(isPlace), length(columnStep) > 1e-6, length(rowStep) > 1e-6 else { return nil }
            (self.originLPS, self.columnStep, self.rowStep) = (originLPS, columnStep, rowStep)
        }
    }

    let columns, rows: Int
    let planes: [Plane]

    /// Patient position of a pixel of a plane.
    func position(_ column: Int, _ row: Int, plane: Int) -> SIMD3<Double> {
        let p = planes[plane]
        return p.originLPS + Double(column) * p.columnStep + Double(row) * p.rowStep
    }

    /// The positions of the four corner pixels of a plane.
    func corners(_ plane: Int) -> [(pixel: SIMD2<Int>, positionLPS: SIMD3<Double>)] {
        [SIMD2(0, 0), SIMD2(columns - 1, 0), SIMD2(0, rows - 1), SIMD2(columns - 1, rows - 1)].map { ($0, position($0.x, $0.y, plane: plane)) }
    }
}

/// Whether numbers from a file can be millimetres in a scanner: no NaN, and within a kilometre.
func isPlace(_ vector: SIMD3<Double>) -> Bool { vector.x.magnitude < 1e6 && vector.y.magnitude < 1e6 && vector.z.magnitude < 1e6 }

func length(_ vector: SIMD3<Double>) -> Double { (vector * vector).sum().squareRoot() }

extension GivenMasks {
    /// The mask of each structure where the scan's volume lies, in the order of `structures`.
    ///
    /// Pixel for pixel, whichever way columns, rows and planes run, on the slices of the scan or on the regular grid that stands for
    /// them (`CTSeries.volume`). A pixel inside must lie on a pixel of the scan; planes and pixels without any need not.
    /// - Parameter resampling: whether masks that lie otherwise are interpolated linearly onto the scan's grid.
    /// - Throws: `otherGrid` where they lie otherwise and are not to be resampled, or cannot be; `unreadable` for broken pixels.
    public func placed(on series: CTSeries, resampling: Bool = false) throws(ImagingError) -> [PlacedMask] {
        do throws(Refusal) {
            let onSlices = Placement(planes, on: series.grid, isBlock: isBlock)
            do throws(Refusal) {
                return try masks { structure throws(Refusal) in
                    let voxels = try voxels(of: structure, onSlices)
                    return placed(SourceMask(grid: series.grid, voxels: voxels.mask), voxels.shares)
                }
            } catch where error.code == .otherGrid {
                if let onWorkingGrid = try placedOnWorkingGrid(series.grid) { return onWorkingGrid }
                guard resampling else {
                    throw Refusal(.otherGrid, "\(error.reason); with --resample they are interpolated onto it")
                }
            }
            let lattice = try Lattice(planes, isBlock: isBlock)
            return try masks { structure throws(Refusal) in try resampled(structure, from: lattice, to: series.grid) }
        } catch {
            throw ImagingError(error.code, "\(name): \(error.reason).")
        }
    }

    private func masks(_ make: (Int) throws(Refusal) -> PlacedMask) throws(Refusal) -> [PlacedMask] {
        var masks: [PlacedMask] = []
        for structure in structures.indices { masks.append(try make(structure)) }
        return masks
    }

    /// Nil where they do not lie there either, or it is the same as the slices.
    private func placedOnWorkingGrid(_ grid: SourceGrid) throws(Refusal) -> [PlacedMask]? {
        let placement = Placement(planes, on: SourceGrid(grid.working), isBlock: isBlock)
        do throws(Refusal) {
            return try masks { structure throws(Refusal) in
                let voxels = try voxels(of: structure, placement)
                return PlacedMask(mask: Mask(geometry: grid.working, voxels: voxels.mask),
                                  probabilities: voxels.shares.map { ProbabilityMap(geometry: grid.working, voxels: $0) })
            }
        } catch where error.code == .otherGrid { return nil }
    }

    private func placed(_ mask: SourceMask, _ shares: [UInt8]?) -> PlacedMask {
        let grid = mask.grid
        let probabilities = shares.map { shares in
            ProbabilityMap(geometry: grid.working, voxels: grid.isRegular ? shares : grid.volume(shares.map(Int16.init), outside: 0).voxels.map(UInt8.init))
        }
        var placed = PlacedMask(mask)
        placed.probabilities = probabilities
        return placed
    }

    /// The voxels of a structure on the grid of a placement, and their shares of 255 where such are given.
    private func voxels(of structure: Int, _ placement: Placement) throws(Refusal) -> (mask: [UInt8], shares: [UInt8]?) {
        var values = [UInt8](repeating: 0, count: placement.grid.count)
        for plane in planesOfStructure[structure] {
            let pixels = try pixels(structure, plane)
            guard pixels.withUnsafeBufferPointer(holdsAny) else { continue }
            try placement.put(pixels, plane: plane, into: &values)
        }
        guard isFractional else { return (values, nil) }
        return (values.map { $0 >= ProbabilityMap.inside ? 1 : 0 }, values)
    }

    /// By way of the regular grid that stands for the planes.
    private func resampled(_ structure: Int, from lattice: Lattice, to grid: SourceGrid) throws(Refusal) -> PlacedMask {
        let source = lattice.grid, plane = source.columns * source.rows
        var values = [UInt8](repeating: 0, count: source.count)
        for number in planesOfStructure[structure] {
            let start = lattice.slice(ofPlane: number) * plane, pixels = try pixels(structure, number)
            for n in 0..<plane { values[start + n] = max(values[start + n], pixels[n]) }
        }
        guard isFractional else {
            return PlacedMask(mask: source.workingMask(SourceMask(grid: source, voxels: values)).resampled(to: grid.working))
        }
        let shares = source.volume(values.map(Int16.init), outside: 0).resampled(to: grid.working, outside: 0).voxels.map { UInt8(clamping: $0) }
        return PlacedMask(mask: Mask(geometry: grid.working, voxels: shares.map { $0 >= ProbabilityMap.inside ? 1 : 0 }),
                          probabilities: ProbabilityMap(geometry: grid.working, voxels: shares))
    }
}
