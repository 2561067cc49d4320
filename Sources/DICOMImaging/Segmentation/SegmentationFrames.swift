import DICOMCore
import ImagingGeometry

/// The frames of a SEG and the pixels in them, in one of the forms (PS3.3 C.8.20.2.3).
///
/// Pixels are read from the masks when the file is written, and never held a second time.
struct SegmentationFrames {
    struct Frame: Equatable {
        /// The number of the segment that the frame is of; nil in a label map, where it is of all.
        let segment: Int?
        let slice: Int
    }

    let frames: [Frame]
    let bitsAllocated: Int
    /// Length of the value field of Pixel Data, padding included.
    let length: Int
    /// Writes the value field.
    let write: (_ output: DataSet.Output) -> Void

    private init(_ frames: [Frame], _ grid: SourceGrid, bitsAllocated: Int, write: @escaping (DataSet.Output) -> Void) {
        (self.frames, self.bitsAllocated, self.write) = (frames, bitsAllocated, write)
        length = (frames.count * grid.columns * grid.rows * bitsAllocated + 15) / 16 * 2
    }

    /// The frames of structures that are numbered from 1 in their order.
    private static func frames(_ structures: [[Bool]]) -> [Frame] {
        structures.enumerated().flatMap { index, slices in slices.indices.filter { slices[$0] }.map { Frame(segment: index + 1, slice: $0) } }
    }

    /// A bit a pixel and structure.
    static func binary(_ masks: [SourceMask], emptyFrames: Bool) -> SegmentationFrames {
        let grid = masks[0].grid, frames = frames(masks.map { emptyFrames ? [Bool](repeating: true, count: grid.slices) : $0.slicesInUse })
        return SegmentationFrames(frames, grid, bitsAllocated: 1) { output in
            var packing = BitPacking(framePixels: grid.columns * grid.rows, output: output.append)
            for frame in frames { masks[frame.segment! - 1].withPixels(ofSlice: frame.slice) { packing.append($0) } }
            packing.finish()
        }
    }

    /// A byte a pixel and structure: its probability where there is one, else all or nothing by the mask.
    static func fractional(_ masks: [SourceMask], _ probabilities: [SourceProbabilities?], emptyFrames: Bool) -> SegmentationFrames {
        let grid = masks[0].grid
        let frames = frames(zip(masks, probabilities).map { mask, map in
            (0..<grid.slices).map { slice in
                emptyFrames || map?.pixels(ofSlice: slice).contains { $0 > 0 } ?? mask.withPixels(ofSlice: slice, holdsAny)
            }
        })
        return SegmentationFrames(frames, grid, bitsAllocated: 8) { output in
            for frame in frames {
                let index = frame.segment! - 1
                output.append(probabilities[index]?.pixels(ofSlice: frame.slice)
                    ?? masks[index].withPixels(ofSlice: frame.slice) { $0.map { $0 == 0 ? 0 : maximumFractionalValue } })
            }
            if frames.count * grid.columns * grid.rows % 2 == 1 { output.append([0]) }
        }
    }

    /// The value of a probability of 1, as `ProbabilityMap` has it.
    static let maximumFractionalValue: UInt8 = 255

    /// A number a pixel.
    static func labels(_ map: LabelMap, emptyFrames: Bool) -> SegmentationFrames {
        let grid = map.grid, plane = grid.columns * grid.rows
        let frames = (0..<grid.slices).filter { emptyFrames || map.inUse[$0] }.map { Frame(segment: nil, slice: $0) }
        return SegmentationFrames(frames, grid, bitsAllocated: map.bitsAllocated) { output in
            for frame in frames { map.write(frame.slice, output) }
            if map.bitsAllocated == 8 && frames.count * plane % 2 == 1 { output.append([0]) }
        }
    }
}

/// Structures numbered from 1 as one number a pixel, 0 where there is none (PS3 Supplement 243).
struct LabelMap {
    let grid: SourceGrid
    /// 8 as long as that can number the structures, else 16.
    let bitsAllocated: Int
    /// By structure, how many of its pixels are smaller structures' too, and theirs here.
    private(set) var lost: [Int]
    /// By slice, whether any pixel is not 0.
    private(set) var inUse: [Bool]
    /// All pixels, of one or two bytes each.
    private var narrow: [UInt8] = [], wide: [UInt16] = []

    init(_ masks: [SourceMask]) {
        grid = masks[0].grid
        bitsAllocated = masks.count <= Int(UInt8.max) ? 8 : 16
        lost = [Int](repeating: 0, count: masks.count)
        inUse = [Bool](repeating: false, count: grid.slices)
        // The larger first, so that the smaller is painted over it; of equal ones the first in their order stays.
        let volumes = masks.map(\.volumeML), order = masks.indices.sorted { (volumes[$0], $0) > (volumes[$1], $1) }
        if bitsAllocated == 8 { narrow = paint(masks, order) } else { wide = paint(masks, order) }
    }

    private mutating func paint<Number: FixedWidthInteger>(_ masks: [SourceMask], _ order: [Int]) -> [Number] {
        let plane = grid.columns * grid.rows, columns = grid.columns
        var labels = [Number](repeating: 0, count: grid.count), lost = lost
        labels.withUnsafeMutableBufferPointer { labels in
            for index in order {
                for (slice, used) in masks[index].slicesInUse.enumerated() where used {
                    inUse[slice] = true
                    masks[index].withPixels(ofSlice: slice) { pixels in
                        for start in stride(from: 0, to: plane, by: columns) where holdsAny(UnsafeBufferPointer(rebasing: pixels[start..<start + columns])) {
                            for n in start..<start + columns where pixels[n] != 0 {
                                let under = Int(labels[slice &* plane &+ n])
                                if under > 0 { lost[under - 1] += 1 }
                                labels[slice &* plane &+ n] = Number(index + 1)
                            }
                        }
                    }
                }
            }
        }
        self.lost = lost
        return labels
    }

    /// Writes the pixels of a slice.
    func write(_ slice: Int, _ output: DataSet.Output) {
        let plane = grid.columns * grid.rows * bitsAllocated / 8, range = slice * plane..<(slice + 1) * plane
        let append = { (all: UnsafeRawBufferPointer) in output.append(UnsafeRawBufferPointer(rebasing: all[range])) }
        if bitsAllocated == 8 { narrow.withUnsafeBytes(append) } else { wide.withUnsafeBytes(append) }
    }
}

extension SourceMask {
    func withPixels<Result>(ofSlice slice: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        voxels.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range(ofSlice: slice)])) }
    }

    /// By slice, whether any of its pixels is inside.
    var slicesInUse: [Bool] {
        // Looked for from the row on where the slice before had one: a structure seldom jumps.
        var row = 0
        return (0..<grid.slices).map { slice in
            withPixels(ofSlice: slice) { pixels in
                guard let found = Self.rowInUse(of: pixels, columns: grid.columns, from: row) else { return false }
                row = found
                return true
            }
        }
    }

    /// A row that holds anything, looked for in both directions from one on.
    private static func rowInUse(of pixels: UnsafeBufferPointer<UInt8>, columns: Int, from start: Int) -> Int? {
        let rows = pixels.count / columns
        func isInUse(_ row: Int) -> Bool { holdsAny(UnsafeBufferPointer(rebasing: pixels[row * columns..<(row + 1) * columns])) }
        for step in 0..<rows {
            if start + step < rows, isInUse(start + step) { return start + step }
            if start - step >= 0, isInUse(start - step) { return start - step }
        }
        return nil
    }
}
