import DICOMCore
@testable import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting

/// A made-up CT series and result for the tests of SEG, RTSTRUCT and montage.
enum ResultFixture {
    static let context = ResultContext(
        softwareVersion: "0.1.0", models: [.init(name: "lite-medsam", version: "1.0", digest: String(repeating: "ab", count: 32)),
                                           .init(name: "medlam-hn", version: "1", digest: String(repeating: "cd", count: 32))],
        templateSet: "head-neck", templateSetVersion: "1", deviceSerialNumber: "MEDLSAM",
        contentDate: Date(timeIntervalSince1970: 1_790_000_000), timeZone: TimeZone(secondsFromGMT: 0)!)

    static func geometry(_ columns: Int, _ rows: Int, _ slices: Int, spacing: SIMD3<Double> = [0.9, 0.9, 2.5], oblique: Bool = false) -> VolumeGeometry {
        // A rotation about two axes: the columns of the matrix are exact unit vectors.
        let (a, b) = (0.35, -0.2)
        return VolumeGeometry(size: [columns, rows, slices], spacingMM: spacing, originLPS: [-101.5, -93.25, 12.5],
                              columnIndexDirection: oblique ? [cos(a), sin(a) * cos(b), sin(a) * sin(b)] : [1, 0, 0],
                              rowIndexDirection: oblique ? [-sin(a), cos(a) * cos(b), cos(a) * sin(b)] : [0, 1, 0])
    }

    static func series(_ geometry: VolumeGeometry) -> CTSeries {
        let uid = { (name: String) in UID.derived(from: ["fixture", name]) }
        return CTSeries(
            instances: (0..<geometry.size.z).map { SourceInstance(sopInstanceUID: uid("ct \($0)"), sopClassUID: SOPClass.ctImageStorage, path: "") },
            volume: Volume(geometry: geometry, voxels: (0..<geometry.count).map { Int16($0 % geometry.size.x) * 4 - 160 }),
            studyInstanceUID: uid("study"), seriesInstanceUID: uid("series"), frameOfReferenceUID: uid("frame"))
    }

    /// Headers as a scanner sends them.
    static func source() throws -> DataSet {
        let d = DataSet()
        for (tag, value): (DICOMCore.Tag, String) in [
            (.specificCharacterSet, "ISO_IR 192"), (.patientName, "Müßtermann^Erika"), (.patientID, "P-17"), (.patientBirthDate, "19640812"), (.patientSex, "F"), (.patientAge, "062Y"),
            (.studyDate, "20260915"), (.studyTime, "101500"), (.studyID, "4711"), (.accessionNumber, "A-1"), (.studyDescription, "HEAD AND NECK"),
            (.seriesNumber, "3"), (.bodyPartExamined, "HEADNECK"), (.manufacturer, "Scanner works"), (.manufacturerModelName, "S 64"),
            (.deviceSerialNumber, "9"), (.softwareVersions, "VA1"), (.sliceThickness, "2.5"), (.positionReferenceIndicator, "SN"),
            (.patientPosition, "HFS"),
        ] { try d.set(tag, value) }
        return d
    }

    static func segment(_ name: String, _ mask: Mask?, state: SegmentState = .segmented, color: SIMD3<UInt8> = [255, 138, 128]) -> ResultSegment {
        let isParotid = name.hasPrefix("Parotid")
        return ResultSegment(
            name: name, category: CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure"),
            type: isParotid ? CodedConcept(value: "45289007", scheme: "SCT", meaning: "Parotid gland")
                : CodedConcept(value: "91609006", scheme: "SCT", meaning: "Mandible"),
            laterality: isParotid ? CodedConcept(value: "7771000", scheme: "SCT", meaning: "Left") : nil,
            color: color, state: state, confidence: 0.834, mask: mask)
    }

    /// An ellipsoid of voxels around a centre (shares of the grid), hollow where `core` is above 0.
    static func ellipsoid(_ geometry: VolumeGeometry, center: SIMD3<Double>, radiusMM: Double, core: Double = 0) -> Mask {
        let middle = SIMD3<Double>(geometry.size &- 1) * center
        var mask = Mask(empty: geometry)
        for k in 0..<geometry.size.z { for j in 0..<geometry.size.y { for i in 0..<geometry.size.x {
            let d = (SIMD3(Double(i), Double(j), Double(k)) - middle) * geometry.spacingMM
            let r = (d * d).sum().squareRoot()
            if r <= radiusMM && r >= core { mask.voxels[(k * geometry.size.y + j) * geometry.size.x + i] = 1 }
        } } }
        return mask
    }

    /// Three structures with masks (one hollow, two overlapping) and three without.
    static func segments(_ geometry: VolumeGeometry) -> [ResultSegment] {
        let extent = (SIMD3<Double>(geometry.size) * geometry.spacingMM).min()
        return [
            segment("Bone_Mandible", ellipsoid(geometry, center: [0.5, 0.45, 0.5], radiusMM: extent * 0.4, core: extent * 0.25)),
            segment("SpinalCord", nil, state: .notInFieldOfView),
            segment("Parotid_L", ellipsoid(geometry, center: [0.7, 0.4, 0.4], radiusMM: extent * 0.2), color: [41, 121, 255]),
            segment("Larynx", nil, state: .withheld(reason: "confidence 0.21 is under 0.5")),
            segment("Brainstem", ellipsoid(geometry, center: [0.97, 0.02, 0.9], radiusMM: extent * 0.15), color: [0, 200, 83]),
            segment("Esophagus", nil, state: .failed(reason: "the decoder gave no mask")),
        ]
    }

    /// Runs a Python judge; its arguments follow as sys.argv[1...].
    static func judge(_ script: String, _ arguments: [String]) throws -> ToolResult {
        try runTool(Places.python, ["-c", script] + arguments)
    }

    /// The complaints of dciodvfy about a file; empty when it is clean.
    static func complaints(about path: String) throws -> [String] {
        let tool = Places.local.appending(path: "venv/bin/dciodvfy").path
        return try runTool(tool, [path]).output.split(separator: "\n").map(String.init).filter { $0.hasPrefix("Error") || $0.hasPrefix("Warning") }
    }
}
