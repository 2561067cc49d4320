import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry

/// A patient's CT with what a clinic drew on it.
public struct ContouredCase: Sendable {
    /// What the folder is called.
    public let name: String
    /// The CT's files.
    public let paths: [String]
    public let series: CTSeries
    /// On the grid of the series' volume, by name; none is empty.
    public let masks: [String: Mask]
    /// What of the CT and the structure sets was passed over, a sentence each.
    public let warnings: [String]

    /// Reads a CT series and the RT Structure Sets drawn on it, from one folder; of two ROIs of a name the first counts.
    ///
    /// `rename` gives the name that a structure goes by. Throws ImagingError for a CT that is no volume, NodeError `unreadable` where nothing
    /// is drawn on it, and DICOMError for a file that cannot be read.
    public static func read(_ folder: URL, rename: (String) -> String = { $0 }) throws -> ContouredCase {
        let files = (try? CTSeries.dicomFiles(in: folder.path)) ?? []
        guard !files.isEmpty else { throw NodeError(.unreadable, "\(folder.lastPathComponent) holds no DICOM file.") }
        let structureSets = try files.filter { try DataSet(contentsOf: $0, stoppingBefore: .studyDate).uid(.sopClassUID) == SOPClass.rtStructureSetStorage }
        guard !structureSets.isEmpty else { throw NodeError(.unreadable, "\(folder.lastPathComponent) holds no RT Structure Set.") }
        let paths = files.filter { !structureSets.contains($0) }, series = try CTSeries.read(paths: paths)
        var masks: [String: Mask] = [:], warnings = series.warnings
        for file in structureSets {
            warnings += try StructureSetReader.read(DataSet(contentsOf: file), grid: series.grid, frameOfReferenceUID: series.frameOfReferenceUID) { name, drawn in
                let name = rename(name), mask = series.grid.workingMask(drawn)
                if masks[name] == nil, !mask.isEmpty { masks[name] = mask }
            }
        }
        guard !masks.isEmpty else { throw NodeError(.unreadable, "\(folder.lastPathComponent) holds no contour on its CT.") }
        return ContouredCase(name: folder.lastPathComponent, paths: paths, series: series, masks: masks, warnings: warnings)
    }
}
