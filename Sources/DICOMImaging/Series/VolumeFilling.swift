import DICOMCore
import Foundation
import Synchronization

extension CTSeries {
    /// Hounsfield units of all slices in their order, column fastest, then row, then slice; on all cores.
    ///
    /// Frames are decoded into their place, and words become Hounsfield units there. Besides the result, each core holds a codestream
    /// and an open file.
    static func voxels(_ slices: [CTSlice]) throws(Refusal) -> [Int16] {
        let plane = slices[0].format.count, tables = Tables()
        precondition(slices.allSatisfy { $0.format.count == plane })
        var refusal: Refusal?
        // Nothing is written before the pixels themselves: clearing half a gigabyte first costs a tenth of reading it.
        let voxels = [Int16](unsafeUninitializedCapacity: plane * slices.count) { memory, initialized in
            // Each slice has a plane of its own, so that no two threads write one place.
            nonisolated(unsafe) let memory = UnsafeMutableBufferPointer(rebasing: memory[..<(plane * slices.count)])
            do throws(Refusal) {
                _ = try concurrently(shares(slices)) { share throws(Refusal) in
                    let pixels = try slices[share[0]].pixels()
                    for k in share {
                        let words = UnsafeMutableBufferPointer(rebasing: memory[k * plane..<(k + 1) * plane])
                        try words.withMemoryRebound(to: UInt16.self) { words throws(Refusal) in
                            let format = try slices[k].named { () throws(Refusal) in try pixels.decode((slices[k].frame ?? 1) - 1, into: words) }
                            tables.convert(words, slices[k].scale, format)
                        }
                    }
                }
                initialized = memory.count
            } catch { refusal = error }
        }
        if let refusal { throw refusal }
        return voxels
    }

    /// Which slices are decoded one after the other: those of one file, so that it is opened once a core and not once a frame.
    private static func shares(_ slices: [CTSlice]) -> [[Int]] {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        return Dictionary(grouping: slices.indices) { slices[$0].path }.values.sorted { $0[0] < $1[0] }.flatMap { slices in
            let size = (slices.count + cores - 1) / cores
            return stride(from: 0, to: slices.count, by: size).map { Array(slices[$0..<min($0 + size, slices.count)]) }
        }
    }
}

/// Tables from stored words to Hounsfield units, which slices share.
private final class Tables: Sendable {
    private struct Key: Hashable {
        let scale: HounsfieldScale
        let format: PixelFormat
    }

    private let known = Mutex<[Key: [Int16]]>([:])
    /// A scale of its own for every slice would fill memory with tables, of 128 KB each.
    private static let maximumKept = 16

    /// Puts Hounsfield units in the place of stored words.
    func convert(_ words: UnsafeMutableBufferPointer<UInt16>, _ scale: HounsfieldScale, _ format: PixelFormat) {
        guard !scale.move(words, format) else { return }
        table(scale, format).withUnsafeBufferPointer { table in
            for n in words.indices { words[n] = UInt16(bitPattern: table[Int(words[n])]) }
        }
    }

    private func table(_ scale: HounsfieldScale, _ format: PixelFormat) -> [Int16] {
        let key = Key(scale: scale, format: format)
        if let table = known.withLock({ $0[key] }) { return table }
        let table = scale.table(format)
        known.withLock { known in
            if known.count >= Self.maximumKept { known.removeAll() }
            known[key] = table
        }
        return table
    }
}

extension CTSlice {
    /// The pixels of its image, which is opened anew.
    fileprivate func pixels() throws(Refusal) -> FramePixels {
        try named { () throws(Refusal) in
            if let pixels = try place.flatMap({ place throws(Refusal) in try FramePixels(place, format: format, frames: frameCount) }) { return pixels }
            guard let dataSet = try? open(path) else { throw Refusal(.unreadable, "its file can no longer be read") }
            return try FramePixels(dataSet, format: format, frames: frameCount)
        }
    }
}
