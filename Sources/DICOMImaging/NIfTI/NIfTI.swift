import CZlib
import Foundation
import ImagingGeometry

/// Writes volumes and masks as NIfTI-1 files (nifti.nimh.nih.gov/nifti-1), so that every image tool can look at what the node sees.
///
/// Voxels stay in the order of `Volume`, Hounsfield units as Int16. NIfTI's patient axes point right, anterior, superior where DICOM's
/// point left, posterior, superior: qform and sform both say where the voxels lie.
public enum NIfTI {
    /// Size of the header, and of header and the four bytes that say no extension follows.
    private static let headerSize = 348, voxelOffset = 352

    /// Writes a file, compressed where the path ends in `.gz`; the same volume gives the same bytes.
    ///
    /// - Throws: `cannotWrite`; nothing is left at the path then, nor is an older file harmed.
    public static func write(_ volume: Volume, to path: String) throws(ImagingError) {
        try write(volume.voxels, .int16, on: volume.geometry, to: path)
    }

    /// Writes masks that share no voxel as labels: a voxel of a structure holds its number, others 0.
    ///
    /// - Throws: `overlapping` where two masks share a voxel; `cannotWrite`.
    public static func write(labels: [(label: UInt16, name: String, mask: Mask)], on geometry: VolumeGeometry, to path: String) throws(ImagingError) {
        var voxels = [UInt16](repeating: 0, count: geometry.count)
        for (label, name, mask) in labels {
            var taken: UInt16 = 0, shared = 0
            voxels.withUnsafeMutableBufferPointer { voxels in
                mask.voxels.withUnsafeBufferPointer { mask in
                    for n in voxels.indices where mask[n] != 0 {
                        if voxels[n] != 0 { (taken, shared) = (voxels[n], shared + 1) }
                        voxels[n] = label
                    }
                }
            }
            if shared > 0 {
                let other = labels.first { $0.label == taken }?.name ?? "\(taken)"
                throw ImagingError(.overlapping, "\(name) and \(other) share \(shared) voxels, which one file of labels cannot hold: write a file a structure.")
            }
        }
        if labels.allSatisfy({ $0.label < 256 }) { try write(voxels.map { UInt8($0) }, .uint8, on: geometry, to: path) } else { try write(voxels, .uint16, on: geometry, to: path) }
    }

    /// Writes a mask as 0 and 1.
    public static func write(_ mask: Mask, to path: String) throws(ImagingError) { try write(mask.voxels, .uint8, on: mask.geometry, to: path) }

    /// Writes probabilities as floating-point numbers from 0 to 1.
    public static func write(_ probabilities: ProbabilityMap, to path: String) throws(ImagingError) {
        try write((0..<probabilities.geometry.size.z).flatMap { probabilities.voxels.plane($0).map { Float($0) / 255 } }, .float32, on: probabilities.geometry, to: path)
    }

    private static func write<Voxel>(_ voxels: [Voxel], _ datatype: NIfTIHeader.Datatype, on geometry: VolumeGeometry, to path: String) throws(ImagingError) {
        let part = path + ".part"
        // zlib stores neither name nor time. 1: CT noise gains little from more, and 6 takes four times as long.
        guard let file = gzopen(part, path.hasSuffix(".gz") ? "wbe1" : "wbeT") else { throw failure(path) }
        let isWritten = voxels.withUnsafeBytes { voxels in
            header(of: geometry, datatype).withUnsafeBytes { put($0, into: file) } && put(voxels, into: file)
        }
        let isClosed = gzclose(file) == Z_OK
        guard isWritten, isClosed, rename(part, path) == 0 else {
            let error = failure(path)
            unlink(part)
            throw error
        }
    }

    private static func failure(_ path: String) -> ImagingError {
        ImagingError(.cannotWrite, "\(path) cannot be written: \(String(cString: strerror(errno))).")
    }

    /// In parts, since zlib takes at most 2 GB at once.
    private static func put(_ bytes: UnsafeRawBufferPointer, into file: gzFile) -> Bool {
        let longest = 1 << 24
        return stride(from: 0, to: bytes.count, by: longest).allSatisfy { start in
            let length = min(longest, bytes.count - start)
            return gzwrite(file, bytes.baseAddress! + start, UInt32(length)) == length
        }
    }

    /// The header, little-endian, by the byte offsets of nifti1.h.
    static func header(of geometry: VolumeGeometry, _ datatype: NIfTIHeader.Datatype = .int16) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: voxelOffset)
        func put(_ value: some FixedWidthInteger, at offset: Int) {
            withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
        }
        func put(_ values: [Double], at offset: Int) {
            for (n, value) in values.enumerated() { put(Float(value).bitPattern, at: offset + 4 * n) }
        }
        let (size, spacing) = (geometry.size, geometry.spacingMM)
        put(Int32(headerSize), at: 0)
        for (n, value) in [3, size.x, size.y, size.z, 1, 1, 1, 1].enumerated() { put(Int16(value), at: 40 + 2 * n) }  // dim
        put(Int16(datatype.rawValue), at: 70)
        put(Int16(8 * datatype.bytes), at: 72)  // bitpix
        put([1, spacing.x, spacing.y, spacing.z, 0, 0, 0, 0], at: 76)  // pixdim; the first is qfac
        put([Double(voxelOffset), 1, 0], at: 108)  // vox_offset, scl_slope, scl_inter
        put(UInt8(2), at: 123)  // xyzt_units: NIFTI_UNITS_MM
        bytes.replaceSubrange(148..<148 + 12, with: "medlsam-node".utf8)  // descrip
        put(Int16(1), at: 252)  // qform_code: NIFTI_XFORM_SCANNER_ANAT
        put(Int16(1), at: 254)  // sform_code
        let toRAS = SIMD3<Double>(-1, -1, 1), origin = geometry.originLPS * toRAS
        let axes = [geometry.columnIndexDirection, geometry.rowIndexDirection, geometry.sliceIndexDirection].map { $0 * toRAS }
        put(quaternion(axes) + [origin.x, origin.y, origin.z], at: 256)
        for row in 0..<3 {
            put([axes[0][row] * spacing.x, axes[1][row] * spacing.y, axes[2][row] * spacing.z, origin[row]], at: 280 + 16 * row)
        }
        bytes.replaceSubrange(344..<347, with: "n+1".utf8)
        return bytes
    }

    /// b, c and d of the unit quaternion of a rotation, given by its columns; a is not negative (nifti1.h, method 2).
    private static func quaternion(_ r: [SIMD3<Double>]) -> [Double] {
        func m(_ row: Int, _ column: Int) -> Double { r[column][row] }
        // Four times the square of each; the largest is safe to divide by.
        let squares = [1 + m(0, 0) + m(1, 1) + m(2, 2), 1 + m(0, 0) - m(1, 1) - m(2, 2), 1 - m(0, 0) + m(1, 1) - m(2, 2), 1 - m(0, 0) - m(1, 1) + m(2, 2)]
        let largest = squares.indices.max { squares[$0] < squares[$1] }!
        let root = squares[largest].squareRoot() / 2, part = 1 / (4 * root)
        let (x, y, z) = (m(2, 1) - m(1, 2), m(0, 2) - m(2, 0), m(1, 0) - m(0, 1))
        let (xy, xz, yz) = (m(0, 1) + m(1, 0), m(0, 2) + m(2, 0), m(1, 2) + m(2, 1))
        let q = [[root, x * part, y * part, z * part], [x * part, root, xy * part, xz * part],
                 [y * part, xy * part, root, yz * part], [z * part, xz * part, yz * part, root]][largest]
        return q[0] < 0 ? q[1...].map(-) : Array(q[1...])
    }
}
