import DICOMCore
import DICOMImaging
import Foundation

/// The instances in a folder, grouped into series as the node would.
public struct FolderSeries: Sendable {
    public let seriesInstanceUID, studyInstanceUID: UID
    /// Its instances, sorted by path.
    public internal(set) var instances: [InstanceFile]

    /// Whether it holds anything that a volume could be made of.
    public var holdsCT: Bool { instances.contains { Ingest.refusal(of: $0.header) == nil } }

    /// What a folder holds.
    public struct Listing: Sendable {
        /// Sorted by UID.
        public var series: [FolderSeries] = []
        /// Files that bear the DICOM prefix and are no composite instance: name and reason.
        public var unreadable: [(name: String, reason: String)] = []
    }

    /// Reads the headers of DICOM files, on all cores. The same instance twice counts once, as it does when it is received twice.
    public static func group(_ paths: [String]) -> Listing {
        var found: [Key: FolderSeries] = [:]
        var listing = Listing()
        let files = concurrently(paths) { path in
            Result {
                var patient = ""
                let file = try InstanceFile(path: path) { patient = patientDigest(of: $0) }
                return (file: file, key: Key(series: file.header.seriesInstanceUID, study: file.header.studyInstanceUID, patient: patient))
            }
        }
        for (path, file) in zip(paths, files) {
            do {
                let (file, key) = try file.get()
                found[key, default: FolderSeries(seriesInstanceUID: key.series, studyInstanceUID: key.study, instances: [])].instances.append(file)
            } catch {
                // The folder's name may be anything, a patient's too.
                listing.unreadable.append((URL(fileURLWithPath: path).lastPathComponent, "\(error)".replacing("\(path): ", with: "")))
            }
        }
        listing.series = found.values.sorted { ($0.seriesInstanceUID.string, $0.instances[0].path) < ($1.seriesInstanceUID.string, $1.instances[0].path) }
        return listing
    }

    private struct Key: Hashable {
        let series, study: UID
        let patient: String
    }
}
