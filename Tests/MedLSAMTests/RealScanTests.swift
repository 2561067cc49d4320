import Foundation
import ImagingGeometry
import ModelRuntime
import NodeTesting
import Testing

@testable import MedLSAM

/// With the shipped weights, the shipped template set and a patient whom nobody trained on.
@Suite struct RealScanTests {
    private static let patient = Places.shared.appending(path: "data/openkbp/validation/pt_207.npz")
    private static let library = ModelLibrary(
        manifests: Places.repository.appending(path: "Models"), installed: Places.local.appending(path: "models"),
        runtime: Places.local.appending(path: "openvino"))
    private static var templates: TemplateSet? {
        (try? Data(contentsOf: Places.repository.appending(path: "Models/templates/head-neck.json"))).flatMap { try? TemplateSet(decoding: $0) }
    }
    /// Set-up has been run since the template set was made.
    private static var isReady: Bool {
        guard let templates, (try? library.verifyRuntime()) != nil else { return false }
        return (try? library.verify("medlam-hn")) == templates.medlamDigest && FileManager.default.fileExists(atPath: patient.path)
    }

    @Test(.enabled(if: isReady, "needs set-up and the shared data"))
    func theShippedSetFindsOrgansOfAPatientItHasNotSeen() throws {
        let scan = try Self.scan(), working = WorkingVolume(scan.volume)
        let position = try Self.library.load("medlam-hn", graph: "position", threads: 2)
        let features = try Self.library.load("medlam-hn", graph: "features", threads: 2)
        let localiser = MedLAMLocaliser(position: PositionNetwork(model: position), features: features, templates: Self.templates!)
        let placed = try localiser.localise(working, seed: 1) { _ in }
        let worth = Judge(templates: Self.templates!, volume: working).worthSegmenting(placed)
        for name in ["Brainstem", "Parotid_L", "Parotid_R", "Bone_Mandible", "Larynx"] {
            let structure = try #require(placed[name]), drawn = try #require(scan.masks[name]?.centroidLPS)
            #expect(length(structure.points[6] - drawn) < 15, "\(name)")
            #expect(worth[name] != nil)
        }
    }

    /// The patient as NumPy reads it, on an axial grid with slices from inferior to superior.
    private static func scan() throws -> (volume: Volume, masks: [String: Mask]) {
        let names = ["Brainstem", "SpinalCord", "Parotid_R", "Parotid_L", "Esophagus", "Larynx", "Bone_Mandible"]
        let folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let script = """
            import numpy, sys
            a = numpy.load(sys.argv[1])
            order = lambda v: numpy.ascontiguousarray(v.transpose(2, 0, 1)[::-1])
            order(numpy.where(a['ct'] > 0, a['ct'].astype(int) - 1000, -1000).astype('<i2')).tofile(sys.argv[2] + '/ct')
            order(a['lab']).tofile(sys.argv[2] + '/lab')
            print(*a['vox'][[1, 0, 2]])
            """
        let result = try runTool(Places.python, ["-c", script, patient.path, folder.path])
        let spacing = result.output.split(separator: " ").compactMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        try #require(spacing.count == 3, "\(result.output)")
        let grid = VolumeGeometry(size: [128, 128, 128], spacingMM: SIMD3(spacing), originLPS: .zero)
        let voxels = try Data(contentsOf: folder.appending(path: "ct")).withUnsafeBytes { Array($0.bindMemory(to: Int16.self)) }
        let labels = [UInt8](try Data(contentsOf: folder.appending(path: "lab")))
        let masks = names.enumerated().map { bit, name in (name, Mask(geometry: grid, voxels: labels.map { $0 >> UInt8(bit) & 1 })) }
        return (Volume(geometry: grid, voxels: voxels), Dictionary(uniqueKeysWithValues: masks))
    }
}
