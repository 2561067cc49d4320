import DICOMCore
import ImagingGeometry

/// The stored instances that a job's objects were made of, as their headers are now.
struct CheckedSource {
    /// Where an image lies.
    struct Frame {
        /// Tells it from all others of the series.
        let id: Int
        let instance: String
        /// From 1; 0 in a single-frame image.
        let number: Int
        let rows, columns: Int
        let positionLPS, columnIndexDirection, rowIndexDirection: SIMD3<Double>
        let pixelSpacingMM: SIMD2<Double>

        /// Position in pixels, and the distance from the plane in millimetres.
        func place(_ positionLPS: SIMD3<Double>) -> (column: Double, row: Double, height: Double) {
            let d = positionLPS - self.positionLPS, normal = SliceStack.cross(columnIndexDirection, rowIndexDirection)
            return ((d * columnIndexDirection).sum() / pixelSpacingMM.x, (d * rowIndexDirection).sum() / pixelSpacingMM.y, (d * normal).sum())
        }

        /// Whether directions are the image's, to the tolerance of what devices write.
        func isOriented(_ columns: SIMD3<Double>, _ rows: SIMD3<Double>) -> Bool {
            let (a, b) = (columns - columnIndexDirection, rows - rowIndexDirection)
            return max(a.max(), -a.min(), b.max(), -b.min()) <= ObjectCheck.orientationTolerance
        }
    }

    struct Key: Hashable {
        let instance: String
        let number: Int
    }

    let studyInstanceUID, seriesInstanceUID, frameOfReferenceUID: String
    /// SOP class of each instance.
    let classes: [String: String]
    let frames: [Key: Frame]
    /// The headers of the first, and the files of all.
    let header: DataSet
    private let paths: [String]

    /// Reads the headers, on all cores; throws `unreadable` for a file that is none of a series any more.
    init(paths: [String]) throws(ImagingError) {
        let headers = try concurrently(paths) { path throws(ImagingError) in try SliceHeader(Self.header(path)) }
        guard let first = headers.first(where: { $0.isCTSlice || $0.isMultiFrameCT }) else { throw ImagingError(.unreadable, "No source of the objects is a CT slice.") }
        var frames: [Key: Frame] = [:], classes: [String: String] = [:]
        for header in headers {
            classes[header.sopInstanceUID.string] = header.sopClassUID.string
            for slice in header.slices {
                guard let frame = Frame(slice, id: frames.count) else { continue }
                frames[Key(instance: frame.instance, number: frame.number)] = frame
            }
        }
        (studyInstanceUID, seriesInstanceUID) = (first.studyInstanceUID.string, first.seriesInstanceUID.string)
        frameOfReferenceUID = first.frameOfReferenceUID?.string ?? ""
        (self.frames, self.classes, self.paths) = (frames, classes, paths)
        header = try Self.header(paths[0])
    }

    private static func header(_ path: String) throws(ImagingError) -> DataSet {
        do { return try DataSet(contentsOf: path, stoppingBefore: .pixelData) } catch {
            throw ImagingError(.unreadable, "A source of the objects can no longer be read: \(path.split(separator: "/").last ?? "").")
        }
    }

    /// Whether an element of an object is the very one of the source; of any of its instances, since they need agree on identity alone.
    func holds(_ tag: Tag, of object: DataSet) -> Bool {
        let wanted = Self.value(tag, of: object)
        if Self.value(tag, of: header) == wanted { return true }
        return paths.dropFirst().contains { path in (try? Self.header(path)).map { Self.value(tag, of: $0) == wanted } ?? false }
    }

    /// An element as bytes; empty where it is absent or empty, which mean the same (PS3.5 7.4.5).
    private static func value(_ tag: Tag, of dataSet: DataSet) -> [UInt8] {
        let one = DataSet()
        guard (try? one.copy(tag, from: dataSet)) != nil, let bytes = try? one.encoded(as: .implicitVRLittleEndian), bytes.count > 8 else { return [] }
        return bytes
    }

    func frame(_ item: EncodedItem) -> Frame? {
        guard let instance = item.text(.referencedSOPInstanceUID) else { return nil }
        return frames[Key(instance: instance, number: item.text(.referencedFrameNumber).map { Int($0) ?? -1 } ?? 0)]
    }
}

extension CheckedSource.Frame {
    init?(_ header: SliceHeader, id: Int) {
        guard let rows = header.rows, let columns = header.columns, let position = header.positionLPS, let a = header.columnIndexDirection,
              let b = header.rowIndexDirection, let spacing = header.pixelSpacingMM else { return nil }
        self.id = id
        instance = header.sopInstanceUID.string
        number = header.frameNumber ?? 0
        (self.rows, self.columns, positionLPS, columnIndexDirection, rowIndexDirection, pixelSpacingMM) = (rows, columns, position, a, b, spacing)
    }
}
