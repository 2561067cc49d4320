import CZlib
import DICOMCore
import Foundation
import ImagingGeometry

/// Masks in a NIfTI file (`.nii`, `.nii.gz`; NIfTI-1 and -2): labels, one mask, or one structure's probabilities.
///
/// Whole numbers are labels, each a structure, 0 being none; other numbers from 0 to 1 are probabilities of one structure.
public struct NIfTIMasks: Sendable {
    enum Values: Sendable {
        case labels([UInt16])
        /// Shares of 255.
        case probabilities([UInt8])
    }

    /// The file's name without its folder, which may be anything, and without `.nii.gz`.
    public let name: String
    /// The labels in the file, ascending; 1 alone where it holds probabilities.
    public let labels: [Int]
    /// Whether it holds probabilities.
    public var isFractional: Bool { if case .probabilities = values { true } else { false } }
    let size: SIMD3<Int>
    let values: Values
    let places: [NIfTIPlace]

    /// A bound on what is allocated, in voxels: 2,048 slices of 512 x 512.
    static let maximumVoxels = 1 << 29
    /// More labels than any atlas of the body has.
    static let maximumLabels = 4096

    /// Reads a file, which is gone through twice.
    ///
    /// - Throws: `unreadable` for what is no NIfTI file, broken or truncated; `unsupported` for other kinds of voxels.
    public init(path: String) throws(ImagingError) {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        name = [".gz", ".nii"].reduce(file) { $0.lowercased().hasSuffix($1) ? String($0.dropLast($1.count)) : $0 }
        do throws(Refusal) {
            let reader = try VoxelReader(path: path, maximumVoxels: Self.maximumVoxels)
            (size, places) = (reader.header.size, reader.header.places)
            var range = ValueRange()
            try reader.forEachPart { range.add($0) }
            let isLabels = try range.areLabels()
            var labels: [UInt16] = [], shares: [UInt8] = []
            if isLabels { labels.reserveCapacity(reader.header.count) } else { shares.reserveCapacity(reader.header.count) }
            try reader.forEachPart { part in
                if isLabels { for value in part { labels.append(UInt16(exactly: value) ?? 0) } } else {
                    for value in part { shares.append(UInt8((min(max(value, 0), 1) * 255).rounded())) }
                }
            }
            values = isLabels ? .labels(labels) : .probabilities(shares)
            self.labels = isLabels ? try Self.labels(in: labels) : [1]
        } catch {
            throw ImagingError(error.code, "File \(file) rejected: \(error.reason).")
        }
    }

    private static func labels(in values: [UInt16]) throws(Refusal) -> [Int] {
        var isThere = [Bool](repeating: false, count: 1 << 16)
        for value in values { isThere[Int(value)] = true }
        let labels = (1..<isThere.count).filter { isThere[$0] }
        guard labels.count <= maximumLabels else { throw Refusal(.unsupported, "it holds \(labels.count) different values: no labels (\(maximumLabels) at most)") }
        return labels
    }

    /// The masks of some labels on planes that run as the scan's slices do; the file's place may have to be told by trying (`places`).
    ///
    /// - Parameter structures: their `number` is the label.
    func masks(of structures: [GivenStructure], along normal: SIMD3<Double>, place: NIfTIPlace) -> GivenMasks {
        let axis = (0..<3).max { (place.steps[$0] * normal).sum().magnitude / length(place.steps[$0]) < (place.steps[$1] * normal).sum().magnitude / length(place.steps[$1]) }!
        let inPlane = (0..<3).filter { $0 != axis }
        let planes = (0..<size[axis]).compactMap {
            PixelPlanes.Plane(originLPS: place.originLPS + Double($0) * place.steps[axis], columnStep: place.steps[inPlane[0]], rowStep: place.steps[inPlane[1]])
        }
        let presence = presence(along: axis)
        return GivenMasks(
            name: "File \(name)", structures: structures, isFractional: isFractional, planes: PixelPlanes(columns: size[inPlane[0]], rows: size[inPlane[1]], planes: planes),
            planesOfStructure: structures.map { structure in planes.indices.filter { presence[$0].contains(structure.number) } }, isBlock: true
        ) { structure, plane in pixels(label: structures[structure].number, axis, inPlane, plane) }
    }

    /// The mask of each structure where the scan's volume lies; see `GivenMasks.placed(on:resampling:)`.
    ///
    /// Where sform and qform say different places, the one counts that lies on the scan's grid.
    /// - Throws: besides, `inconsistent` where both do.
    public func placed(_ structures: [GivenStructure], on series: CTSeries, resampling: Bool = false) throws(ImagingError) -> [PlacedMask] {
        func given(_ place: NIfTIPlace) -> GivenMasks { masks(of: structures, along: series.grid.working.sliceIndexDirection, place: place) }
        guard places.count > 1 else { return try given(places[0]).placed(on: series, resampling: resampling) }
        let fitting = places.compactMap { try? given($0).placed(on: series) }
        guard fitting.count < 2 else { throw ImagingError(.inconsistent, "File \(name): its sform and qform say different places, and both lie on the CT's grid.") }
        guard let only = fitting.first else { throw ImagingError(.otherGrid, "File \(name): its sform and qform say different places, and neither lies on the CT's grid.") }
        return only
    }

    private func pixels(label: Int, _ axis: Int, _ inPlane: [Int], _ plane: Int) -> [UInt8] {
        let strides = [1, size.x, size.x * size.y]
        let (columns, rows) = (size[inPlane[0]], size[inPlane[1]]), (x, y) = (strides[inPlane[0]], strides[inPlane[1]]), base = plane * strides[axis]
        func read<T>(_ values: [T], _ value: (T) -> UInt8) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: columns * rows) { result, count in
                values.withUnsafeBufferPointer { values in
                    for row in 0..<rows {
                        for column in 0..<columns { result[row * columns + column] = value(values[base + row * y + column * x]) }
                    }
                }
                count = columns * rows
            }
        }
        switch values {
        case .labels(let labels):
            let wanted = UInt16(clamping: label)
            return read(labels) { $0 == wanted ? 1 : 0 }
        case .probabilities(let shares): return read(shares) { $0 }
        }
    }

    /// The labels in each plane across an axis.
    private func presence(along axis: Int) -> [Set<Int>] {
        let strides = [1, size.x, size.x * size.y], inPlane = (0..<3).filter { $0 != axis }
        guard case .labels(let labels) = values else { return [Set<Int>](repeating: [1], count: size[axis]) }
        return (0..<size[axis]).map { plane in
            var found: Set<Int> = [], last: UInt16 = 0
            labels.withUnsafeBufferPointer { labels in
                for row in 0..<size[inPlane[1]] {
                    let base = plane * strides[axis] + row * strides[inPlane[1]]
                    for column in 0..<size[inPlane[0]] {
                        let label = labels[base + column * strides[inPlane[0]]]
                        if label != last {
                            found.insert(Int(label))
                            last = label
                        }
                    }
                }
            }
            return found
        }
    }
}

/// What the values of a file have in common.
private struct ValueRange {
    private var least = Float.infinity, greatest = -Float.infinity
    private var areWhole = true, areFinite = true

    /// How far a probability may lie beyond 0 or 1: what a resampling leaves.
    private static let rounding: Float = 1e-3

    mutating func add(_ part: [Float]) {
        for value in part {
            if !value.isFinite { areFinite = false } else {
                least = min(least, value)
                greatest = max(greatest, value)
                if value != value.rounded() { areWhole = false }
            }
        }
    }

    func areLabels() throws(Refusal) -> Bool {
        guard areFinite else { throw Refusal(.unreadable, "it holds values that are no numbers") }
        if areWhole {
            guard least >= 0, greatest <= Float(UInt16.max) else { throw Refusal(.unsupported, "it holds values from \(least) to \(greatest): no labels (0 to \(UInt16.max))") }
            return true
        }
        guard least >= -Self.rounding, greatest <= 1 + Self.rounding else {
            throw Refusal(.unsupported, "it holds broken numbers from \(least) to \(greatest): neither labels nor probabilities (0 to 1)")
        }
        return false
    }
}

/// The voxels of a file in parts, so that no more is allocated than the file really holds.
private struct VoxelReader {
    let header: NIfTIHeader
    private let path: String
    private static let voxelsAPart = 1 << 20

    init(path: String, maximumVoxels: Int) throws(Refusal) {
        self.path = path
        let file = try GzipFile(path)
        header = try NIfTIHeader(try file.read(NIfTIHeader.size2, exactly: false), maximumVoxels: maximumVoxels)
    }

    /// Calls with the scaled values of each part in their order.
    func forEachPart(_ body: ([Float]) throws(Refusal) -> Void) throws(Refusal) {
        let file = try GzipFile(path)
        try file.skip(header.voxelOffset)
        var left = header.count
        while left > 0 {
            let count = min(left, Self.voxelsAPart)
            try body(values(try file.read(count * header.datatype.bytes, exactly: true), count))
            left -= count
        }
    }

    private func values(_ bytes: [UInt8], _ count: Int) -> [Float] {
        switch header.datatype {
        case .uint8: numbers(bytes, count, UInt8.self) { Double($0) }
        case .int8: numbers(bytes, count, Int8.self) { Double($0) }
        case .int16: numbers(bytes, count, Int16.self) { Double($0) }
        case .uint16: numbers(bytes, count, UInt16.self) { Double($0) }
        case .int32: numbers(bytes, count, Int32.self) { Double($0) }
        case .uint32: numbers(bytes, count, UInt32.self) { Double($0) }
        case .int64: numbers(bytes, count, Int64.self) { Double($0) }
        case .uint64: numbers(bytes, count, UInt64.self) { Double($0) }
        case .float32: numbers(bytes, count, UInt32.self) { Double(Float(bitPattern: $0)) }
        case .float64: numbers(bytes, count, UInt64.self) { Double(bitPattern: $0) }
        }
    }

    private func numbers<T: FixedWidthInteger>(_ bytes: [UInt8], _ count: Int, _ type: T.Type, _ number: (T) -> Double) -> [Float] {
        let (slope, intercept, isSwapped) = (header.slope, header.intercept, header.isSwapped), step = MemoryLayout<T>.size
        return bytes.withUnsafeBytes { bytes in
            [Float](unsafeUninitializedCapacity: count) { values, initialized in
                for n in 0..<count {
                    let raw = bytes.loadUnaligned(fromByteOffset: n &* step, as: T.self)
                    values[n] = Float(number(isSwapped ? raw.byteSwapped : raw) * slope + intercept)
                }
                initialized = count
            }
        }
    }
}

extension NIfTIHeader {
    /// Number of voxels.
    var count: Int { size.x * size.y * size.z }
}

/// A file that may be compressed: zlib sees by itself whether it is.
private final class GzipFile {
    private let file: gzFile

    init(_ path: String) throws(Refusal) {
        guard let file = gzopen(path, "rbe") else { throw Refusal(.unreadable, "it cannot be opened") }
        self.file = file
    }

    deinit { gzclose(file) }

    /// The next bytes; fewer at the file's end where that is no fault.
    func read(_ count: Int, exactly: Bool) throws(Refusal) -> [UInt8] {
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while got < count {
                let now = gzread(file, buffer.baseAddress! + got, UInt32(min(count - got, 1 << 24)))
                guard now > 0 else { break }
                got += Int(now)
            }
            initialized = got
        }
        var code: Int32 = 0
        _ = gzerror(file, &code)
        guard code == Z_OK || code == Z_STREAM_END || (code == Z_BUF_ERROR && !exactly), got == count || !exactly else {
            throw Refusal(.unreadable, "it is truncated or broken")
        }
        return bytes
    }

    func skip(_ count: Int) throws(Refusal) {
        var left = count
        while left > 0 { left -= try read(min(left, 1 << 20), exactly: true).count }
    }
}
