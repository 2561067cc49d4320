import Foundation
import ImagingGeometry

/// The header of a NIfTI-1 or NIfTI-2 file, either byte order (nifti1.h, nifti2.h): what masks need of it.
struct NIfTIHeader {
    /// How a voxel is stored.
    enum Datatype: Int { case uint8 = 2, int16 = 4, int32 = 8, float32 = 16, float64 = 64, int8 = 256, uint16 = 512, uint32 = 768, int64 = 1024, uint64 = 1280
        var bytes: Int {
            switch self {
            case .uint8, .int8: 1
            case .int16, .uint16: 2
            case .int32, .uint32, .float32: 4
            case .float64, .int64, .uint64: 8
            }
        }
    }

    static let size1 = 348, size2 = 540

    let size: SIMD3<Int>
    let datatype: Datatype
    let isSwapped: Bool
    /// Where voxels begin in the file.
    let voxelOffset: Int
    /// What a stored value is multiplied by, and what is added: 1 and 0 where the file states none.
    let slope, intercept: Double
    /// Where the header says that voxels lie: by sform, then by qform; the one alone where the other says the same or nothing.
    let places: [NIfTIPlace]

    /// Throws why the bytes, `size2` of them where the file has as many, are no header of a volume; the reason continues a sentence.
    init(_ bytes: [UInt8], maximumVoxels: Int) throws(Refusal) {
        let fields = try Fields(bytes)
        isSwapped = fields.isSwapped
        let two = fields.isTwo
        guard fields.magic == (two ? "n+2" : "n+1") else {
            throw Refusal(fields.magic == "ni1" || fields.magic == "ni2" ? .unsupported : .unreadable,
                          fields.magic.hasPrefix("ni") ? "its voxels are in another file (.hdr and .img); one file (.nii) is read" : "it bears no mark of NIfTI-1 or NIfTI-2")
        }
        let dimensions = (0..<8).map { two ? fields.integer(16 + 8 * $0, Int64.self) : fields.integer(40 + 2 * $0, Int16.self) }
        guard (1...7).contains(dimensions[0]) else { throw Refusal(.unreadable, "it has \(dimensions[0]) dimensions") }
        let extents = (1...7).map { $0 <= dimensions[0] ? dimensions[$0] : 1 }
        guard extents[3...].allSatisfy({ $0 == 1 }) else { throw Refusal(.unsupported, "it has more than three dimensions; a file a structure or labels are read") }
        guard extents.allSatisfy({ $0 > 0 && $0 <= maximumVoxels }), extents[0] <= maximumVoxels / extents[1] / extents[2] else {
            throw Refusal(.unreadable, "its dimensions are \(extents[0]) x \(extents[1]) x \(extents[2])")
        }
        size = SIMD3(extents[0], extents[1], extents[2])
        let code = fields.integer(two ? 12 : 70, Int16.self)
        guard let datatype = Datatype(rawValue: code) else { throw Refusal(.unsupported, "its voxels are of datatype \(code); whole and floating-point numbers are read") }
        self.datatype = datatype
        let offset: Double = two ? Double(fields.integer(168, Int64.self)) : fields.float(108)
        guard offset >= Double(two ? Self.size2 : Self.size1), offset <= 1e9, let whole = Int(exactly: offset) else {
            throw Refusal(.unreadable, "it says that its voxels begin at byte \(offset)")
        }
        voxelOffset = whole
        (slope, intercept) = try fields.scale()
        places = try fields.places(size: size)
    }
}

/// How voxel indices (i, j, k) of a NIfTI file become patient positions in LPS and millimetres.
struct NIfTIPlace: Sendable, Equatable {
    let originLPS: SIMD3<Double>
    /// From one voxel to the next along i, j and k.
    let steps: [SIMD3<Double>]

    /// From the axes of NIfTI, which point right, anterior and superior; nil where voxels would have no extent.
    init?(originRAS: SIMD3<Double>, stepsRAS: [SIMD3<Double>], scale: Double) {
        let toLPS = SIMD3<Double>(-scale, -scale, scale)
        originLPS = originRAS * toLPS
        steps = stepsRAS.map { $0 * toLPS }
        let volume = (steps[0] * SliceStack.cross(steps[1], steps[2])).sum().magnitude
        guard (steps + [originLPS]).allSatisfy(isPlace), volume > 1e-9 else { return nil }
    }

    func position(_ index: SIMD3<Double>) -> SIMD3<Double> { originLPS + index.x * steps[0] + index.y * steps[1] + index.z * steps[2] }

    /// Whether no corner of a volume lies elsewhere by more than `Placement.tolerance` of the shortest step.
    func agrees(_ other: NIfTIPlace, size: SIMD3<Int>) -> Bool {
        let last = SIMD3<Double>(size &- 1), finest = steps.map(length).min()!
        return (0..<8).allSatisfy { n in
            let corner = SIMD3(n & 1 == 0 ? 0 : last.x, n & 2 == 0 ? 0 : last.y, n & 4 == 0 ? 0 : last.z)
            return length(position(corner) - other.position(corner)) <= Placement.tolerance * finest
        }
    }
}

/// The fields of a header by their byte offsets; numbers are of the file's byte order.
private struct Fields {
    let bytes: [UInt8]
    let isSwapped, isTwo: Bool

    init(_ bytes: [UInt8]) throws(Refusal) {
        func size(_ swapped: Bool) -> Int {
            guard bytes.count >= 4 else { return 0 }
            let raw = bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) }
            return Int(swapped ? raw.byteSwapped : raw)
        }
        guard let swapped = [false, true].first(where: { [NIfTIHeader.size1, NIfTIHeader.size2].contains(size($0)) }) else {
            throw Refusal(.unreadable, "it is no NIfTI file")
        }
        isSwapped = swapped
        isTwo = size(swapped) == NIfTIHeader.size2
        guard bytes.count >= size(swapped) else { throw Refusal(.unreadable, "it ends within its header") }
        self.bytes = bytes
    }

    private func number<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
        let raw = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
        return isSwapped ? raw.byteSwapped : raw
    }
    func integer<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> Int { Int(clamping: number(offset, type)) }
    func float(_ offset: Int) -> Double { Double(Float(bitPattern: number(offset, UInt32.self))) }
    func double(_ offset: Int) -> Double { Double(bitPattern: number(offset, UInt64.self)) }

    var magic: String {
        let at = isTwo ? 4 : 344
        return String(decoding: bytes[at..<at + 4].prefix { $0 != 0 }, as: UTF8.self)
    }

    func scale() throws(Refusal) -> (Double, Double) {
        let slope = isTwo ? double(176) : float(112), intercept = isTwo ? double(184) : float(116)
        if slope == 0 || (slope.isNaN && intercept.isNaN) { return (1, 0) }  // no scaling; nibabel writes NaN for it
        guard slope.isFinite, intercept.isFinite else { throw Refusal(.unreadable, "its scl_slope or scl_inter is no number") }
        return (slope, intercept)
    }

    func places(size: SIMD3<Int>) throws(Refusal) -> [NIfTIPlace] {
        let units = (isTwo ? integer(500, Int32.self) : integer(123, UInt8.self)) & 7
        let scales: [Int: Double] = [0: 1, 1: 1000, 2: 1, 3: 0.001]  // NIFTI_UNITS_UNKNOWN, METER, MM, MICRON
        guard let scale = scales[units] else { throw Refusal(.unreadable, "its unit of length is unknown (xyzt_units)") }
        let coded = (sform: isTwo ? integer(348, Int32.self) : integer(254, Int16.self), qform: isTwo ? integer(344, Int32.self) : integer(252, Int16.self))
        let found = [coded.sform > 0 ? sform(scale) : nil, coded.qform > 0 ? qform(scale) : nil].compactMap { $0 }
        guard let first = found.first else {
            throw Refusal(.unreadable, coded.sform > 0 || coded.qform > 0 ? "where it lies is no place (sform, qform)" : "it does not say where it lies (sform_code and qform_code are 0)")
        }
        return found.count == 2 && !first.agrees(found[1], size: size) ? found : [first]
    }

    private func sform(_ scale: Double) -> NIfTIPlace? {
        let rows = (0..<3).map { row in (0..<4).map { isTwo ? double(400 + 32 * row + 8 * $0) : float(280 + 16 * row + 4 * $0) } }
        let columns = (0..<4).map { SIMD3(rows[0][$0], rows[1][$0], rows[2][$0]) }
        return NIfTIPlace(originRAS: columns[3], stepsRAS: Array(columns[..<3]), scale: scale)
    }

    /// Method 2 of nifti1.h: a rotation by quaternion, the third axis turned round where pixdim[0] is negative.
    private func qform(_ scale: Double) -> NIfTIPlace? {
        let pixdim = (0..<4).map { isTwo ? double(104 + 8 * $0) : float(76 + 4 * $0) }
        let q = (0..<6).map { isTwo ? double(352 + 8 * $0) : float(256 + 4 * $0) }
        var (b, c, d) = (q[0], q[1], q[2])
        let sum = b * b + c * c + d * d
        guard sum.isFinite, sum < 1.01 else { return nil }
        let a = max(0, 1 - sum).squareRoot(), norm = (a * a + sum).squareRoot()
        (b, c, d) = (b / norm, c / norm, d / norm)
        let w = a / norm, flip: Double = pixdim[0] < 0 ? -1 : 1
        let rotation: [SIMD3<Double>] = [
            [w * w + b * b - c * c - d * d, 2 * (b * c + w * d), 2 * (b * d - w * c)],
            [2 * (b * c - w * d), w * w + c * c - b * b - d * d, 2 * (c * d + w * b)],
            [2 * (b * d + w * c), 2 * (c * d - w * b), w * w + d * d - b * b - c * c],
        ]
        return NIfTIPlace(originRAS: SIMD3(q[3], q[4], q[5]), stepsRAS: [rotation[0] * pixdim[1], rotation[1] * pixdim[2], rotation[2] * (pixdim[3] * flip)], scale: scale)
    }
}
