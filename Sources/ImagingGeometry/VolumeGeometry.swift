/// The regular grid of a volume in patient space.
///
/// Axis order, stated once for the whole project: an index is (i, j, k) = (column, row, slice); voxels are stored
/// with the column fastest, then the row, then the slice. Patient coordinates are LPS in millimetres (PS3.3 C.7.6.2).
public struct VolumeGeometry: Sendable, Hashable {
    /// Number of columns (i), rows (j) and slices (k).
    public let size: SIMD3<Int>
    /// Distance between neighbouring columns, rows and slices, in millimetres.
    public let spacingMM: SIMD3<Double>
    /// Patient position of the centre of voxel (0, 0, 0).
    public let originLPS: SIMD3<Double>
    /// Unit direction of increasing column index: the first three values of Image Orientation (Patient).
    public let columnIndexDirection: SIMD3<Double>
    /// Unit direction of increasing row index: the last three values of Image Orientation (Patient).
    public let rowIndexDirection: SIMD3<Double>
    /// Unit direction of increasing slice index: the cross product of the two others.
    public let sliceIndexDirection: SIMD3<Double>

    public init(size: SIMD3<Int>, spacingMM: SIMD3<Double>, originLPS: SIMD3<Double>,
                columnIndexDirection: SIMD3<Double> = [1, 0, 0], rowIndexDirection: SIMD3<Double> = [0, 1, 0]) {
        self.size = size
        self.spacingMM = spacingMM
        self.originLPS = originLPS
        self.columnIndexDirection = columnIndexDirection
        self.rowIndexDirection = rowIndexDirection
        let a = columnIndexDirection, b = rowIndexDirection
        sliceIndexDirection = [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
    }

    /// Number of voxels.
    public var count: Int { size.x * size.y * size.z }

    /// Patient position (LPS, mm) of a continuous index.
    public func indexToPatient(_ index: SIMD3<Double>) -> SIMD3<Double> {
        let step = index * spacingMM
        return originLPS + step.x * columnIndexDirection + step.y * rowIndexDirection + step.z * sliceIndexDirection
    }

    /// Continuous index of a patient position (LPS, mm).
    public func patientToIndex(_ positionLPS: SIMD3<Double>) -> SIMD3<Double> {
        let d = positionLPS - originLPS
        let along = SIMD3((d * columnIndexDirection).sum(), (d * rowIndexDirection).sum(), (d * sliceIndexDirection).sum())
        return along / spacingMM
    }
}
