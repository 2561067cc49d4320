import DICOMCore
import Foundation

/// A file with one instance: its header, read once for all that is asked of it, be it grouping, selection or a volume.
public struct InstanceFile: Sendable {
    public let path: String
    public let header: SliceHeader
    /// The slices it holds, if any; else why not.
    let content: Result<Content, ImagingError>

    /// What a file holds for a volume.
    enum Content: Sendable {
        /// One, or a multi-frame image's.
        case slices([CTSlice])
        /// Why it is no part of any stack.
        case leftOut(String)
    }

    /// Reads a header, and where the pixel data lie, not these themselves; `look` sees the header's data set while it is there.
    ///
    /// - Throws: DICOMError or ImagingError where it is no file of a composite instance. That its image cannot be read is told by who asks for it.
    public init(path: String, _ look: (DataSet) -> Void = { _ in }) throws {
        let (dataSet, place) = try DataSet.header(of: path)
        self.path = path
        header = try SliceHeader(dataSet)
        look(dataSet)
        do throws(ImagingError) { content = .success(try Content(dataSet, header, path, place)) } catch { content = .failure(error) }
    }
}

extension InstanceFile.Content {
    fileprivate init(_ dataSet: DataSet, _ header: SliceHeader, _ path: String, _ place: PixelDataPlace?) throws(ImagingError) {
        // The whole file, so that every length it claims is held against its size before anything is decoded.
        let dataSet = place == nil ? try open(path) : dataSet
        let name = "Instance \(header.sopInstanceUID)"
        guard !header.isLocalizer else { self = .leftOut("\(name) left out: it is a localizer."); return }
        guard header.isCTSlice || header.isMultiFrameCT else {
            self = .leftOut("\(name) left out: its SOP class is \(header.sopClassUID), not CT Image Storage.")
            return
        }
        do throws(Refusal) {
            self = .slices(header.isCTSlice ? [try CTSlice(dataSet, header: header, path: path, place: place)] : try CTSlice.frames(of: dataSet, path: path, place: place))
        } catch {
            throw ImagingError(error.code, "\(name) of series \(header.seriesInstanceUID) rejected: \(error.reason).")
        }
    }
}

extension CTSlice {
    /// The slices of a multi-frame image, but for its localizers.
    fileprivate static func frames(of dataSet: DataSet, path: String, place: PixelDataPlace?) throws(Refusal) -> [CTSlice] {
        let format = try PixelFormat(dataSet)
        var slices: [CTSlice] = []
        for frame in try FrameAttributes.frames(of: dataSet) {
            do throws(Refusal) {
                guard let header = try? SliceHeader(frame) else { throw Refusal(.unreadable, "its UIDs are missing or malformed") }
                if !header.isLocalizer { slices.append(try CTSlice(frame, header: header, format: format, path: path, place: place)) }
            } catch { throw Refusal(error.code, "frame \(frame.number ?? 0): \(error.reason)") }
        }
        return slices
    }
}

/// Loads a whole file, so that every length it claims is held against its size before anything is decoded.
func open(_ path: String) throws(ImagingError) -> DataSet {
    do { return try DataSet(contentsOf: path) } catch { throw unreadable(path, error) }
}

/// Why a file is no instance, by its name alone: the folder's may be anything, a patient's too.
func unreadable(_ path: String, _ error: any Error) -> ImagingError {
    if let error = error as? ImagingError { return error }
    let reason = (error as? DICOMError)?.message.replacing("\(path): ", with: "") ?? "it cannot be opened"
    return ImagingError(.unreadable, "File \(path.split(separator: "/").last ?? "") rejected: \(reason).")
}
