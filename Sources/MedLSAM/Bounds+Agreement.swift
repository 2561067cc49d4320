import ImagingGeometry

extension Bounds {
    /// The box of a mask's voxels from outer face to outer face; nil for an empty mask.
    public init?(of mask: Mask) {
        guard let bounds = Bounds(mask.positionsLPS) else { return nil }
        let half = mask.geometry.halfVoxelLPS
        self.init(low: bounds.low - half, high: bounds.high + half)
    }

    /// Intersection over union, 0 to 1.
    public func iou(_ other: Bounds) -> Double {
        func volume(_ size: SIMD3<Double>) -> Double { size.min() > 0 ? size.x * size.y * size.z : 0 }
        let both = volume(pointwiseMin(high, other.high) - pointwiseMax(low, other.low))
        let either = volume(extent) + volume(other.extent) - both
        return either > 0 ? both / either : 0
    }

    /// Wall distance (WD of the MedLSAM paper): how far the six faces lie from the other box's on average, mm.
    public func wallDistanceMM(_ other: Bounds) -> Double {
        func size(_ v: SIMD3<Double>) -> SIMD3<Double> { pointwiseMax(v, -v) }
        return (size(low - other.low) + size(high - other.high)).sum() / 6
    }
}
