import DICOMCore
import ImagingGeometry

/// What is measured of a region on the source's own slices.
///
/// Each pixel counts with the volume that it stands for, so that slices of several distances (`SourceGrid.thicknessesMM`) weigh as they
/// must. The standard deviation is that of the whole region, not an estimate from a sample.
struct RegionMeasures {
    let volumeML: Double
    /// Hounsfield units.
    let mean, standardDeviation, minimum, maximum: Double

    /// Measures a mask that is not empty; `voxels` are Hounsfield units on its slices.
    init(of mask: SourceMask, in voxels: [Int16]) {
        precondition(voxels.count == mask.voxels.count)
        let slices = (0..<mask.grid.slices).map { slice in
            mask.voxels.withUnsafeBufferPointer { mask_ in
                voxels.withUnsafeBufferPointer { voxels in
                    let range = mask.range(ofSlice: slice)
                    return SliceSums(UnsafeBufferPointer(rebasing: mask_[range]), UnsafeBufferPointer(rebasing: voxels[range]))
                }
            }
        }
        let weighted = zip(slices, mask.grid.thicknessesMM)
        let weight = weighted.reduce(0) { $0 + Double($1.0.count) * $1.1 }
        let mean = weighted.reduce(0) { $0 + Double($1.0.sum) * $1.1 } / weight
        // About the mean of the slice, then of the slices about the whole: no difference of large numbers.
        let variance = weighted.reduce(0) { sum, slice in
            guard slice.0.count > 0 else { return sum }
            let count = Double(slice.0.count), own = Double(slice.0.sum) / count
            return sum + slice.1 * (Double(slice.0.squares) - count * own * own + count * (own - mean) * (own - mean))
        } / weight
        volumeML = weight * mask.grid.pixelSpacingMM.x * mask.grid.pixelSpacingMM.y / 1000
        self.mean = mean
        standardDeviation = max(0, variance).squareRoot()
        minimum = Double(slices.map(\.minimum).min()!)
        maximum = Double(slices.map(\.maximum).max()!)
    }

    /// The statistic, in Hounsfield units.
    func value(of statistic: MeasurementOptions.Statistic) -> Double {
        switch statistic {
        case .mean: mean
        case .standardDeviation: standardDeviation
        case .minimum: minimum
        case .maximum: maximum
        }
    }
}

/// Sums over the pixels of one slice that are inside: whole numbers, so that no order of adding matters.
private struct SliceSums {
    var count = 0, sum = 0, squares = 0
    var minimum = Int16.max, maximum = Int16.min

    init(_ mask: UnsafeBufferPointer<UInt8>, _ voxels: UnsafeBufferPointer<Int16>) {
        guard holdsAny(mask) else { return }
        let words = UnsafeRawBufferPointer(mask)
        var start = 0
        while start < mask.count {
            let end = min(start &+ 8, mask.count)
            // Most of a slice lies outside: eight pixels at a time are passed over.
            if end &- start < 8 || words.loadUnaligned(fromByteOffset: start, as: UInt64.self) != 0 {
                for n in start..<end where mask[n] != 0 {
                    let value = voxels[n]
                    count &+= 1
                    sum &+= Int(value)
                    squares &+= Int(value) &* Int(value)
                    minimum = min(minimum, value)
                    maximum = max(maximum, value)
                }
            }
            start = end
        }
    }
}

extension CTSeries {
    /// Hounsfield units of the slices' own pixels, column fastest, then row, then slice; blocks.
    ///
    /// On a regular stack the volume's. Any other is read again, since its volume is resampled.
    /// - Throws: `unreadable` when the files no longer hold the slices.
    func sourceVoxels() throws(ImagingError) -> [Int16] {
        guard !grid.isRegular else { return volume.voxels }
        func key(_ instance: UID, _ frame: Int?) -> String { "\(instance) \(frame ?? 0)" }
        let wanted = frames.map { key($0.instance.sopInstanceUID, $0.number) }
        let stack = try CTSeries.stacks(paths: instances.map(\.path)).stacks.first { $0.slices.map { key($0.header.sopInstanceUID, $0.frame) } == wanted }
        guard let stack else { throw ImagingError(.unreadable, "Series \(seriesInstanceUID): its files no longer hold the slices that were read.") }
        do throws(Refusal) { return try CTSeries.voxels(stack.slices) } catch {
            throw ImagingError(error.code, "Series \(seriesInstanceUID) rejected: \(error.reason).")
        }
    }
}
