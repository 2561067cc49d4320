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

/// One CT series as a volume, with what a result must reference.
public struct CTSeries: Sendable {
    /// In slice order: k = 0 first, increasing along the normal of the slices.
    public var instances: [SourceInstance]
    /// Hounsfield units, -1024 (air) at least.
    public var volume: Volume
    public var studyInstanceUID, seriesInstanceUID, frameOfReferenceUID: UID
    /// Whether any slice was ever compressed with loss.
    public var isLossy: Bool
    /// What was left out and why, a sentence each.
    public var warnings: [String]

    public init(instances: [SourceInstance], volume: Volume, studyInstanceUID: UID, seriesInstanceUID: UID, frameOfReferenceUID: UID,
                isLossy: Bool, warnings: [String] = []) {
        self.instances = instances
        self.volume = volume
        self.studyInstanceUID = studyInstanceUID
        self.seriesInstanceUID = seriesInstanceUID
        self.frameOfReferenceUID = frameOfReferenceUID
        self.isLossy = isLossy
        self.warnings = warnings
    }

    /// A bound on what is allocated, in voxels: four times a whole body at 512 x 512 and 1 mm.
    static let maximumVoxels = 1 << 31

    /// Reads the CT slices among some files as one volume, on all cores; blocks.
    ///
    /// Localizers and instances of other classes are left out with a warning each. Everything else that is no slice of
    /// one regular stack refuses the series: nothing is dropped silently, nothing is resampled.
    ///
    /// - Throws: `unreadable` for a broken file or missing attributes, `unsupported` for enhanced CT and other kinds of
    ///   pixels, `inconsistent` for slices of several series or patients or of different shape, `irregular` for gaps,
    ///   duplicates, gantry tilt and too few slices.
    public static func read(paths: [String]) throws(ImagingError) -> CTSeries {
        let found = try concurrently(paths) { path throws(ImagingError) in try Found(path: path) }
        let warnings = found.compactMap(\.leftOut)
        let slices = found.compactMap(\.slice)
        guard let first = slices.first else {
            throw ImagingError(.irregular, "No CT slice among \(paths.count) files.\(warnings.map { " " + $0 }.joined())")
        }
        do {
            let stack = try OrderedStack(slices)
            let volume = Volume(geometry: stack.geometry, voxels: try voxels(stack))
            return CTSeries(
                instances: stack.slices.map {
                    SourceInstance(sopInstanceUID: $0.header.sopInstanceUID, sopClassUID: $0.header.sopClassUID, path: $0.path)
                },
                volume: volume, studyInstanceUID: first.header.studyInstanceUID, seriesInstanceUID: first.header.seriesInstanceUID,
                frameOfReferenceUID: first.frameOfReferenceUID, isLossy: slices.contains(where: \.isLossy), warnings: warnings)
        } catch {
            throw ImagingError(error.code, "Series \(first.header.seriesInstanceUID) rejected: \(error.reason).")
        }
    }

    /// The files under a folder that bear the DICOM prefix (PS3.10 7.1), sorted by path.
    public static func dicomFiles(in folder: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder).sorted().map { folder + "/" + $0 }.filter { path in
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
                  let file = FileHandle(forReadingAtPath: path) else { return false }
            defer { try? file.close() }
            return try file.read(upToCount: 132)?.dropFirst(128).elementsEqual("DICM".utf8) == true
        }
    }

    private static func voxels(_ stack: OrderedStack) throws(Refusal) -> [Int16] {
        let plane = stack.geometry.size.x * stack.geometry.size.y
        let tables = Mutex<[TableKey: [Int16]]>([:])
        let result = Mutex([Int16](repeating: HounsfieldScale.floorHU, count: stack.geometry.count))
        _ = try concurrently(Array(stack.slices.enumerated())) { (k, slice) throws(Refusal) in
            let (words, format) = try slice.words()
            let key = TableKey(scale: slice.scale, format: format)
            let table = tables.withLock { tables in
                if tables[key] == nil { tables[key] = slice.scale.table(format) }
                return tables[key]!
            }
            let units = [Int16](unsafeUninitializedCapacity: plane) { units, initialized in
                table.withUnsafeBufferPointer { table in
                    words.withUnsafeBufferPointer { words in
                        var n = 0
                        while n < plane { units[n] = table[Int(words[n])]; n &+= 1 }
                    }
                }
                initialized = plane
            }
            result.withLock { $0.replaceSubrange(k * plane..<(k + 1) * plane, with: units) }
        }
        return result.withLock { $0 }
    }

    private struct TableKey: Hashable {
        let scale: HounsfieldScale
        let format: PixelFormat
    }
}

/// What one file turned out to be.
private struct Found: Sendable {
    var slice: CTSlice?
    /// Why it is no part of the volume.
    var leftOut: String?

    init(path: String) throws(ImagingError) {
        let dataSet = try open(path)
        let header = try SliceHeader(dataSet)
        let name = "Instance \(header.sopInstanceUID)"
        if [SOPClass.enhancedCTImageStorage, SOPClass.legacyConvertedEnhancedCTImageStorage].contains(header.sopClassUID) {
            throw ImagingError(.unsupported, "\(name) rejected: Enhanced CT is not supported yet.")
        }
        if header.isLocalizer {
            leftOut = "\(name) left out: it is a localizer."
        } else if !header.isCTSlice {
            leftOut = "\(name) left out: its SOP class is \(header.sopClassUID), not CT Image Storage."
        } else {
            do { slice = try CTSlice(dataSet, header: header, path: path) } catch {
                throw ImagingError(error.code, "\(name) of series \(header.seriesInstanceUID) rejected: \(error.reason).")
            }
        }
    }
}

extension CTSlice {
    /// Its stored words and their format.
    fileprivate func words() throws(Refusal) -> (words: [UInt16], format: PixelFormat) {
        do {
            return try FramePixels(try open(path), format: format).words()
        } catch {
            let refusal = error as? Refusal ?? Refusal(.unreadable, "its file can no longer be read")
            throw Refusal(refusal.code, "instance \(header.sopInstanceUID): \(refusal.reason)")
        }
    }
}

/// Loads a whole file, so that every length it claims is held against its size before anything is decoded.
private func open(_ path: String) throws(ImagingError) -> DataSet {
    do { return try DataSet(contentsOf: path) } catch {
        // The folder's name may be anything, a patient's too.
        let reason = (error as? DICOMError)?.message.replacing("\(path): ", with: "") ?? "it cannot be opened"
        throw ImagingError(.unreadable, "File \(path.split(separator: "/").last ?? "") rejected: \(reason).")
    }
}

/// Maps on all cores and blocks until done; of several failures, throws the first in order.
private func concurrently<Item: Sendable, Result: Sendable, Failure: Error>(
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
