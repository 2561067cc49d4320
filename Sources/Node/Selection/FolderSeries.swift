import DICOMCore
import DICOMImaging
import Foundation

/// The instances in a folder, grouped into series as the node would.
public struct FolderSeries: Sendable {
    public let seriesInstanceUID, studyInstanceUID: UID
    /// Files and headers of its instances, sorted by path.
    public internal(set) var instances: [(path: String, header: SliceHeader)]

    /// The files of its instances.
    public var paths: [String] { instances.map(\.path) }
    /// Whether it holds anything that a volume could be made of.
    public var holdsCT: Bool { instances.contains { Ingest.refusal(of: $0.header) == nil } }

    /// What a folder holds.
    public struct Listing: Sendable {
        /// Sorted by UID.
        public var series: [FolderSeries] = []
        /// Files that bear the DICOM prefix and are no composite instance: name and reason.
        public var unreadable: [(name: String, reason: String)] = []
    }

    /// Reads the headers of DICOM files. The same instance twice counts once, as it does when it is received twice.
    public static func group(_ paths: [String]) -> Listing {
        var found: [Key: FolderSeries] = [:]
        var listing = Listing()
        for path in paths {
            do {
                let dataSet = try DataSet(contentsOf: path, stoppingBefore: .pixelData), header = try SliceHeader(dataSet)
                let key = Key(series: header.seriesInstanceUID, study: header.studyInstanceUID, patient: patientDigest(of: dataSet))
                found[key, default: FolderSeries(
                    seriesInstanceUID: key.series, studyInstanceUID: key.study, instances: [])].instances.append((path, header))
            } catch {
                // The folder's name may be anything, a patient's too.
                listing.unreadable.append((URL(fileURLWithPath: path).lastPathComponent, "\(error)".replacing("\(path): ", with: "")))
            }
        }
        listing.series = found.values.sorted { ($0.seriesInstanceUID.string, $0.paths[0]) < ($1.seriesInstanceUID.string, $1.paths[0]) }
        return listing
    }

    private struct Key: Hashable {
        let series, study: UID
        let patient: String
    }
}
