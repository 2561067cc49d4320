import DICOMCore
import Foundation
import ImagingGeometry

/// What one volume can be made of: the slices of a series that lie side by side. Read from headers alone.
public struct CTStack: Sendable {
    /// In the order of the slices along their normal, the lowest first.
    public let headers: [SliceHeader]
    /// What tells it from the series' other stacks, in words, such as `Convolution Kernel B70f`; empty where it is the only one.
    public let distinction: String
    /// Where the slices lie; nil where the stack is refused.
    public let grid: SourceGrid?
    /// Why no volume can be made of it; nil where one can.
    public let refusal: ImagingError?
    /// Slices that were left out of it and why, and what was bridged, a sentence each.
    public let warnings: [String]
    let slices: [CTSlice]

    /// Puts slices of one direction, matrix and pixel spacing in order. `series` names them in errors.
    init(_ unordered: [CTSlice], distinctions: [String] = [], series: UID) {
        var grid: SourceGrid?, refusal: ImagingError?, warnings: [String] = []
        let (a, b) = unordered[0].directions
        let normal = SliceStack.cross(a, b)
        let ordered = unordered.map { (height: ($0.positionLPS * normal).sum(), slice: $0) }.sorted { $0.height < $1.height }
        var slices = ordered.map(\.slice)
        do throws(Refusal) {
            slices = try Self.withoutCopies(ordered, &warnings)
            let found = try Self.grid(slices, a, b)
            grid = found
            if !found.isRegular { warnings.append(Self.resampling(slices, found)) }
        } catch {
            refusal = ImagingError(error.code, "Series \(series) rejected: \(error.reason).")
        }
        (self.slices, self.grid, self.refusal, self.warnings) = (slices, grid, refusal, warnings)
        headers = slices.map(\.header)
        distinction = distinctions.joined(separator: ", ")
    }

    /// Smallest distance of neighbouring slices, along the normal, in millimetres; nil where the stack is refused.
    public var finestSpacingMM: Double? { grid.map { grid in grid.isRegular ? grid.working.spacingMM.z : zip(grid.originsLPS.dropFirst(), grid.originsLPS).map { grid.heightMM($0) - grid.heightMM($1) }.min()! } }

    /// The stack in words: how many slices, how far apart, what tells it from others.
    public var summary: String {
        let size = "\(headers.count) slices" + (finestSpacingMM.map { " every \(SliceStack.millimetres($0)) mm" } ?? "")
        return distinction.isEmpty ? size : "\(distinction): \(size)"
    }

    /// Of slices at one place whose pixels are the same one is kept, with a warning; others are refused.
    private static func withoutCopies(_ ordered: [(height: Double, slice: CTSlice)], _ warnings: inout [String]) throws(Refusal) -> [CTSlice] {
        var kept: [(height: Double, slice: CTSlice)] = []
        for next in ordered {
            guard let last = kept.last, next.height - last.height <= SliceStack.duplicateToleranceMM else { kept.append(next); continue }
            guard try last.slice.isCopy(of: next.slice) else {
                throw Refusal(.irregular, "\(last.slice.name) and \(next.slice.name) lie at the same position and differ")
            }
            warnings.append("\(next.slice.name.prefix(1).uppercased() + next.slice.name.dropFirst()) left out: the same pixels at the same place as \(last.slice.name).")
        }
        return kept.map(\.slice)
    }

    /// What is uneven or leans, in words.
    private static func resampling(_ slices: [CTSlice], _ grid: SourceGrid) -> String {
        let heights = grid.originsLPS.map(grid.heightMM), steps = zip(heights.dropFirst(), heights).map { $0 - $1 }
        let rise = grid.originsLPS.last! - grid.originsLPS[0], aside = rise - grid.working.sliceIndexDirection * heights.last!
        let angle = atan2((aside * aside).sum().squareRoot(), heights.last!) * 180 / .pi
        return "Slices \(SliceStack.millimetres(steps.min()!)) to \(SliceStack.millimetres(steps.max()!)) mm apart, leaning by "
            + "\((angle * 10).rounded() / 10) degrees: the volume is resampled from their true positions, and results lie on the slices themselves."
    }

    private static func grid(_ slices: [CTSlice], _ a: SIMD3<Double>, _ b: SIMD3<Double>) throws(Refusal) -> SourceGrid {
        guard slices.count >= SliceStack.minimumSlices else {
            throw Refusal(.irregular, "it holds \(slices.count) slices, at least \(SliceStack.minimumSlices) are needed")
        }
        let format = slices[0].format, normal = SliceStack.cross(a, b)
        if let irregularity = Steps(slices.map { ($0.positionLPS * normal).sum() }).irregularity { throw Refusal(.irregular, irregularity) }
        guard let grid = SourceGrid(columns: format.columns, rows: format.rows, pixelSpacingMM: slices[0].pixelSpacingMM,
                                    columnIndexDirection: a, rowIndexDirection: b, originsLPS: slices.map(\.positionLPS)) else {
            throw Refusal(.irregular, "its slices are shifted against each other beyond reason")
        }
        // The factors are bounded: no overflow.
        guard max(grid.working.count, grid.count) <= CTSeries.maximumVoxels else {
            throw Refusal(.unsupported, "it has more than \(CTSeries.maximumVoxels) voxels")
        }
        return grid
    }
}

/// The stacks that the files of one series hold.
public struct CTStacks: Sendable {
    /// At least one; in the order of what tells them apart.
    public let stacks: [CTStack]
    /// What belongs to none and why, a sentence each.
    public let leftOut: [String]
    public let studyInstanceUID, seriesInstanceUID: UID

    /// Which stack is taken unless a rule says otherwise (`StackRank`).
    public var usual: Int { StackRank.order(stacks.map { stack in StackRank(stack.headers) { _ in stack.refusal == nil } })[0] }

    /// Reads one stack's pixels as a volume, on all cores; blocks. Its warnings tell of everything that was left out.
    ///
    /// - Throws: the stack's refusal, or why its pixels cannot be read.
    public func series(_ number: Int) throws(ImagingError) -> CTSeries {
        let stack = stacks[number]
        let others = stacks.indices.filter { $0 != number }.map { "A stack of \(stacks[$0].headers.count) slices left out: \(stacks[$0].summary)." }
        guard let grid = stack.grid else {
            throw stack.refusal.map { ImagingError($0.code, ([$0.message] + others).joined(separator: " ")) }!
        }
        let voxels: [Int16]
        do throws(Refusal) { voxels = try CTSeries.voxels(stack.slices) } catch {
            throw ImagingError(error.code, "Series \(seriesInstanceUID) rejected: \(error.reason).")
        }
        return CTSeries(
            frames: stack.slices.map { slice in
                SourceFrame(instance: SourceInstance(sopInstanceUID: slice.header.sopInstanceUID, sopClassUID: slice.header.sopClassUID, path: slice.path),
                            number: slice.frame, sliceThicknessMM: slice.header.sliceThicknessMM)
            },
            grid: grid, volume: grid.volume(voxels, outside: HounsfieldScale.floorHU), studyInstanceUID: studyInstanceUID,
            seriesInstanceUID: seriesInstanceUID, frameOfReferenceUID: stack.slices[0].frameOfReferenceUID,
            lossyCompression: stack.slices.compactMap(\.lossyCompression).max { $0.ratio < $1.ratio }, warnings: leftOut + others + stack.warnings)
    }
}
