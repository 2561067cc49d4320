import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting
import Testing

/// What Tests/Judges/captures.py is told of a case.
struct CaptureCase: Encodable {
    struct Structure: Encodable {
        var name: String
        var color: [UInt8]
        var centroid: [Double]
        /// Whether its contours' centre is its own: solid, and no other's line over it.
        var solid: Bool
    }
    var columns, rows, slices: Int
    var spacing, a, b: [Double]
    var origins: [[Double]]
    var window: [Double]
    var all: Bool
    /// Whether a pixel of the picture is one of the source.
    var exact: Bool
    var frame: String
    var instances: [String]
    var structures: [Structure]
    var texts: [String] = [], secrets: [String] = []
    var created = ""
    /// On which side of the first structure's sections others lie: section, structure, letter, direction on the screen.
    var sides: [String: [String: [String: [Double]]]] = [:]

    init(_ contoured: ContouredSeries, _ options: CaptureOptions, exact: Bool = false) {
        let grid = contoured.series.grid
        func list(_ v: SIMD3<Double>) -> [Double] { [v.x, v.y, v.z] }
        (columns, rows, slices) = (grid.columns, grid.rows, grid.slices)
        spacing = [grid.pixelSpacingMM.x, grid.pixelSpacingMM.y, grid.working.spacingMM.z]
        (a, b) = (list(grid.columnIndexDirection), list(grid.rowIndexDirection))
        origins = grid.originsLPS.map(list)
        window = [options.windowCenter, options.windowWidth]
        (all, self.exact) = (options.slices == .all, exact)
        frame = contoured.series.frameOfReferenceUID.string
        instances = contoured.series.frames.map(\.instance.sopInstanceUID.string)
        structures = zip(contoured.segments, contoured.drawings).compactMap { segment, drawing in
            drawing.mask.map { mask in
                let centroid = Mask(geometry: grid.working, voxels: grid.workingMask(mask).voxels).centroidLPS!
                return Structure(name: segment.name, color: [segment.color.x, segment.color.y, segment.color.z], centroid: list(centroid), solid: !segment.name.contains("hollow"))
            }
        }
    }

    /// Writes the case, the volume and the masks beside the objects, and asks the judge.
    func judge(_ what: String, _ contoured: ContouredSeries, in folder: URL, sourceLocation: SourceLocation = #_sourceLocation) throws {
        try JSONEncoder().encode(self).write(to: folder.appending(path: "case.json"))
        try contoured.series.sourceVoxels().withUnsafeBytes { try Data($0).write(to: folder.appending(path: "units")) }
        try Data(contoured.drawings.compactMap(\.mask).flatMap(\.voxels)).write(to: folder.appending(path: "masks"))
        let verdict = try runTool(Places.python, [Places.repository.appending(path: "Tests/Judges/captures.py").path, what, folder.path])
        #expect(verdict.status == 0, "\(verdict.output)", sourceLocation: sourceLocation)
    }

    /// A head with a cube of voxels around the middle, one each to the patient's left, to the front and to the head of it, and a hollow ball.
    static func compass(_ geometry: VolumeGeometry, names: (String, String, String, String) = ("Middle", "Leftward", "Forward", "Headward")) throws -> ContouredSeries {
        let unit = (SIMD3<Double>(geometry.size) * geometry.spacingMM).min() / 10
        func cube(_ center: SIMD3<Double>) -> Mask {
            var mask = Mask(empty: geometry)
            for n in 0..<geometry.count {
                let d = geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: n))) - geometry.centreLPS - center * unit
                if max(d.max(), -d.min()) <= unit * 0.8 { mask.voxels[n] = 1 }
            }
            return mask
        }
        var segments = [
            ResultFixture.segment(names.0, cube([0, 0, 0]), color: [255, 196, 0]), ResultFixture.segment(names.1, cube([2.5, 0, 0]), color: [41, 121, 255]),
            ResultFixture.segment(names.2, cube([0, -2.5, 0]), color: [0, 200, 83]), ResultFixture.segment(names.3, cube([0, 0, 2.5]), color: [213, 0, 249]),
        ]
        segments.append(ResultFixture.segment("Larynx", nil, state: .withheld(reason: "confidence 0.21 is under 0.5")))
        var series = ResultFixture.series(geometry)
        series.volume = Volume(geometry: geometry, voxels: (0..<geometry.count).map {
            Phantom.hounsfield(atLPS: geometry.indexToPatient(SIMD3<Double>(geometry.index(atOffset: $0))) - geometry.centreLPS)
        })
        return try ContouredSeries(segments: segments, series: series, source: ResultFixture.source(), context: ResultFixture.context)
    }
}
