import DICOMCore
import Dispatch
import Foundation
import ImagingGeometry
import Synchronization

/// An instance that a volume was made of.
public struct SourceInstance: Sendable, Hashable {
    public var sopInstanceUID, sopClassUID: UID
    /// The file it was read from.
    public var path: String

    public init(sopInstanceUID: UID, sopClassUID: UID, path: String) {
        self.sopInstanceUID = sopInstanceUID
        self.sopClassUID = sopClassUID
        self.path = path
    }
}

/// Where a slice's pixels are: an instance, or one frame of it.
public struct SourceFrame: Sendable, Hashable {
    public var instance: SourceInstance
    /// The frame's number, from 1, in a multi-frame instance; nil in a single-frame one.
    public var number: Int?
    /// Slice Thickness as the source states it.
    public var sliceThicknessMM: Double?

    public init(instance: SourceInstance, number: Int? = nil, sliceThicknessMM: Double? = nil) {
        self.instance = instance
        self.number = number
        self.sliceThicknessMM = sliceThicknessMM
    }
}

/// One stack of a CT series as a volume, with what a result must reference.
public struct CTSeries: Sendable {
    /// One a slice, in slice order: k = 0 first, increasing along the normal of the slices.
    public var frames: [SourceFrame]
    /// Where the slices lie, and how masks come back onto them.
    public var grid: SourceGrid
    /// Hounsfield units, -1024 (air) at least, on `grid.working`: the slices' own pixels where the stack is even and upright, else
    /// resampled from their true positions.
    public var volume: Volume
    public var studyInstanceUID, seriesInstanceUID, frameOfReferenceUID: UID
    /// How slices were compressed with loss, the most where they differ; nil where none ever was.
    public var lossyCompression: LossyCompression?
    /// What was left out and why, a sentence each.
    public var warnings: [String]

    public init(frames: [SourceFrame], grid: SourceGrid, volume: Volume, studyInstanceUID: UID, seriesInstanceUID: UID, frameOfReferenceUID: UID,
                lossyCompression: LossyCompression? = nil, warnings: [String] = []) {
        self.frames = frames
        self.grid = grid
        self.volume = volume
        self.studyInstanceUID = studyInstanceUID
        self.seriesInstanceUID = seriesInstanceUID
        self.frameOfReferenceUID = frameOfReferenceUID
        self.lossyCompression = lossyCompression
        self.warnings = warnings
    }

    /// A series of single-frame instances whose slices are those of the volume.
    public init(instances: [SourceInstance], volume: Volume, studyInstanceUID: UID, seriesInstanceUID: UID, frameOfReferenceUID: UID,
                lossyCompression: LossyCompression? = nil, warnings: [String] = []) {
        self.init(frames: instances.map { SourceFrame(instance: $0) }, grid: SourceGrid(volume.geometry), volume: volume, studyInstanceUID: studyInstanceUID,
                  seriesInstanceUID: seriesInstanceUID, frameOfReferenceUID: frameOfReferenceUID, lossyCompression: lossyCompression, warnings: warnings)
    }

    /// Whether any slice was ever compressed with loss.
    public var isLossy: Bool { lossyCompression != nil }

    /// The instances that the slices are of, each once, in the order of their first slices.
    public var instances: [SourceInstance] {
        var seen: Set<SourceInstance> = []
        return frames.map(\.instance).filter { seen.insert($0).inserted }
    }

    /// A mask of the volume's grid on the source's own slices: what results are written from, and volumes computed.
    ///
    /// - Throws: `otherGrid` when the mask is not on the volume's grid.
    public func sourceMask(_ mask: Mask, of name: String = "a structure") throws(ImagingError) -> SourceMask {
        guard mask.geometry == grid.working else {
            throw ImagingError(.otherGrid, "Mask of \(name) is not on the grid of series \(seriesInstanceUID).")
        }
        return grid.sourceMask(mask)
    }

    /// A bound on what is allocated, in voxels: four times a whole body at 512 x 512 and 1 mm.
    static let maximumVoxels = 1 << 31

    /// Reads the CT slices among some files as one volume, on all cores; blocks.
    ///
    /// Of several stacks the usual one is read (`CTStacks.usual`); the others, localizers and instances of other classes are left out
    /// with a warning each. Nothing is dropped silently.
    ///
    /// - Throws: `unreadable` for a broken file or missing attributes, `unsupported` for other kinds of
    ///   pixels, `inconsistent` for slices of several series or patients, `irregular` for missing slices, different slices at one
    ///   place and too few slices.
    public static func read(paths: [String]) throws(ImagingError) -> CTSeries { try read(files(paths)) }

    /// The same from files whose headers are read already.
    public static func read(_ files: [InstanceFile]) throws(ImagingError) -> CTSeries {
        let stacks = try stacks(files)
        return try stacks.series(stacks.usual)
    }

    /// The stacks among the CT slices of some files, by their headers; blocks.
    ///
    /// - Throws: as `read`, for what cannot be a slice or is of several series or patients.
    public static func stacks(paths: [String]) throws(ImagingError) -> CTStacks { try stacks(files(paths)) }

    private static func files(_ paths: [String]) throws(ImagingError) -> [InstanceFile] {
        try concurrently(paths) { path throws(ImagingError) in
            do { return try InstanceFile(path: path) } catch { throw unreadable(path, error) }
        }
    }

    private static func stacks(_ files: [InstanceFile]) throws(ImagingError) -> CTStacks {
        var leftOut: [String] = [], images: [[CTSlice]] = [], slices: [CTSlice] = [], known: [UID: CTSlice] = [:]
        for file in files {
            switch try file.content.get() {
            case .slices(let found): images.append(found)
            case .leftOut(let reason): leftOut.append(reason)
            }
        }
        for found in images {
            guard let first = found.first else { continue }
            // One instance from two files, as a folder may hold.
            if let earlier = known[first.header.sopInstanceUID] {
                guard earlier.isOnceMore(first) else {
                    throw ImagingError(.inconsistent, "Series \(first.header.seriesInstanceUID) rejected: two files hold different images as instance \(first.header.sopInstanceUID).")
                }
                leftOut.append("File \(first.path.split(separator: "/").last ?? "") left out: instance \(first.header.sopInstanceUID) once more.")
                continue
            }
            known[first.header.sopInstanceUID] = first
            slices += found
        }
        guard let first = slices.first else {
            throw ImagingError(.irregular, "No CT slice among \(files.count) files.\(leftOut.map { " " + $0 }.joined())")
        }
        let series = first.header.seriesInstanceUID
        do throws(Refusal) { try CTSlice.checkOneSeries(slices) } catch {
            throw ImagingError(error.code, "Series \(series) rejected: \(error.reason).")
        }
        let parts = StackSplit.parts(of: slices.map(\.header))
        return CTStacks(
            stacks: parts.map { part in CTStack(part.indices.map { slices[$0] }, distinctions: part.distinctions, series: series) },
            leftOut: leftOut, studyInstanceUID: first.header.studyInstanceUID, seriesInstanceUID: series)
    }

    /// The files under a folder that bear the DICOM prefix (PS3.10 7.1), sorted by path.
    public static func dicomFiles(in folder: String) throws -> [String] {
        // A folder named by a symbolic link is gone into as well; links below it are not followed.
        let real = URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
        return try FileManager.default.subpathsOfDirectory(atPath: real).sorted().map { folder + "/" + $0 }.filter { path in
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
                  let file = FileHandle(forReadingAtPath: path) else { return false }
            defer { try? file.close() }
            return try file.read(upToCount: 132)?.dropFirst(128).elementsEqual("DICM".utf8) == true
        }
    }
}

extension CTSlice {
    /// What it is called in messages.
    var name: String { "instance \(header.sopInstanceUID)" + (frame.map { " frame \($0)" } ?? "") }

    /// The exact frame that its rounded directions mean, or index and position would not invert each other.
    var directions: (columnIndex: SIMD3<Double>, rowIndex: SIMD3<Double>) {
        func unit(_ vector: SIMD3<Double>) -> SIMD3<Double> { vector / (vector * vector).sum().squareRoot() }
        let a = unit(columnIndexDirection)
        return (a, unit(rowIndexDirection - a * (a * rowIndexDirection).sum()))
    }

    /// Whether another file's first slice shows that it holds the same image.
    fileprivate func isOnceMore(_ other: CTSlice) -> Bool {
        frame == nil && other.frame == nil ? (try? isCopy(of: other)) == true : FileManager.default.contentsEqual(atPath: path, andPath: other.path)
    }

    /// Whether another slice is this one once more: the same place of the first pixel, and the same Hounsfield units in all.
    ///
    /// Frames are never copies: an image that states a place twice means two things by it.
    func isCopy(of other: CTSlice) throws(Refusal) -> Bool {
        guard frame == nil, other.frame == nil else { return false }
        let apart = positionLPS - other.positionLPS
        guard max(apart.max(), -apart.min()) <= SliceStack.duplicateToleranceMM else { return false }
        return try CTSeries.voxels([self]) == CTSeries.voxels([other])
    }

    /// Runs a body, and names this slice in its refusal.
    func named<Result>(_ body: () throws(Refusal) -> Result) throws(Refusal) -> Result {
        do { return try body() } catch { throw Refusal(error.code, "\(name): \(error.reason)") }
    }

    /// Refuses slices of several series, studies, patients or frames of reference; the first that differs is named.
    fileprivate static func checkOneSeries(_ slices: [CTSlice]) throws(Refusal) {
        let first = slices[0]
        for slice in slices.dropFirst() {
            let difference: String? =
                if slice.header.seriesInstanceUID != first.header.seriesInstanceUID { "Series Instance UID" }
                else if slice.header.studyInstanceUID != first.header.studyInstanceUID { "Study Instance UID" }
                else if slice.patient != first.patient { zip(CTSlice.patientTags, zip(slice.patient, first.patient)).first { $1.0 != $1.1 }!.0.description }
                else if slice.frameOfReferenceUID != first.frameOfReferenceUID { "Frame of Reference UID" }
                else { nil }
            if let difference { throw Refusal(.inconsistent, "\(first.name) and \(slice.name) differ in \(difference)") }
        }
    }
}

/// Maps on all cores and blocks until done; of several failures, throws the first in order.
package func concurrently<Item: Sendable, Result: Sendable, Failure: Error>(
    _ items: [Item], _ body: @Sendable (Item) throws(Failure) -> Result
) throws(Failure) -> [Result] {
    let results = Mutex([Swift.Result<Result, Failure>?](repeating: nil, count: items.count))
    DispatchQueue.concurrentPerform(iterations: items.count) { n in
        let result: Swift.Result<Result, Failure>
        do throws(Failure) { result = .success(try body(items[n])) } catch { result = .failure(error) }
        results.withLock { $0[n] = result }
    }
    var values: [Result] = []
    for result in results.withLock({ $0 }) { values.append(try result!.get()) }
    return values
}
