import DICOMCore
import DICOMImaging
import Foundation
import ImagingGeometry
import NodeTesting

/// Sound files of masks, small and of every kind that is read.
enum MaskSeeds {
    /// Each by a name that ends as its kind does, with its bytes.
    static func make(_ scan: CTSeries, in folder: URL) throws -> [(String, [UInt8])] {
        let geometry = scan.volume.geometry
        let first = block(geometry, [3, 3, 1], [9, 10, 4]), second = block(geometry, [10, 4, 2], [13, 9, 3])
        let shares = ProbabilityMap(geometry: geometry, voxels: first.voxels.enumerated().map { $1 == 1 ? UInt8(128 + $0 % 128) : UInt8($0 % 100) })
        for name in ["labels.nii", "labels.nii.gz"] { try NIfTI.write(labels: [(1, "a", first), (7, "b", subtracted(second, first))], on: geometry, to: folder.appending(path: name).path) }
        try NIfTI.write(shares, to: folder.appending(path: "shares.nii").path)
        let code = CodedConcept(value: "91723000", scheme: "SCT", meaning: "Anatomical Structure")
        let segments = [("A", first, shares), ("B", second, nil)].map { name, mask, shares in
            ResultSegment(name: name, category: code, type: code, color: [255, 0, 0], state: .segmented, mask: mask, probabilities: shares, author: Authorship(method: .manual))
        }
        let context = ResultContext(softwareVersion: "0", conversion: Conversion(origin: "fuzz", digest: ""), deviceSerialNumber: "FUZZ", contentDate: Date(timeIntervalSince1970: 0))
        let contoured = try ContouredSeries(segments: segments, series: scan, source: DataSet(contentsOf: scan.instances[0].path, stoppingBefore: .pixelData), context: context)
        for form in SegmentationOptions.Form.allCases {
            try SegmentationWriter.make(contoured, SegmentationOptions(form: form)).write(to: folder.appending(path: "\(form).dcm").path)
        }
        let names = ["labels.nii", "labels.nii.gz", "shares.nii"] + SegmentationOptions.Form.allCases.map { "\($0).dcm" }
        return try names.map { ($0, [UInt8](try Data(contentsOf: folder.appending(path: $0)))) }
    }

    private static func block(_ geometry: VolumeGeometry, _ low: SIMD3<Int>, _ high: SIMD3<Int>) -> Mask {
        Mask(geometry: geometry, voxels: (0..<geometry.count).map { n in
            let index = geometry.index(atOffset: n)
            return all(index .>= low) && all(index .<= high) ? 1 : 0
        })
    }

    private static func subtracted(_ mask: Mask, _ other: Mask) -> Mask { Mask(geometry: mask.geometry, voxels: zip(mask.voxels, other.voxels).map { $0 & ~$1 & 1 }) }
}
