import DICOMCore
import ImagingGeometry

extension StructureSetReader {
    /// What an RT Structure Set says of each ROI, in its order (PS3.3 C.8.8.5, C.8.8.6, C.8.8.8).
    public static func structures(in dataSet: DataSet) -> [GivenStructure] {
        let contours = first(dataSet.items(.roiContourSequence)), observations = first(dataSet.items(.rtROIObservationsSequence))
        let maker = [dataSet.string(.manufacturer), dataSet.string(.manufacturerModelName)].compactMap { $0 }.joined(separator: " ")
        return dataSet.items(.structureSetROISequence).compactMap { roi in
            guard let number = roi.integer(.roiNumber) else { return nil }
            let color = contours[number]?.integers(.roiDisplayColor) ?? []
            let code = observations[number]?.items(.rtROIIdentificationCodeSequence).first
            let description = roi.string(.roiGenerationDescription) ?? (maker.isEmpty ? nil : maker)
            return GivenStructure(
                number: number, name: roi.string(.roiName), category: nil, type: observations[number]?.concept(.rtROIIdentificationCodeSequence),
                laterality: code?.concept(.segmentedPropertyTypeModifierCodeSequence),
                color: color.count == 3 && color.allSatisfy((0...255).contains) ? SIMD3(color.map { UInt8($0) }) : nil,
                author: roi.string(.roiGenerationAlgorithm).flatMap(Authorship.Method.init).map { Authorship(method: $0, name: $0 == .manual ? roi.string(.roiGenerationDescription) : description) })
        }
    }

    private static func first(_ items: [DataSet]) -> [Int: DataSet] {
        Dictionary(items.compactMap { item in item.integer(.referencedROINumber).map { ($0, item) } }) { first, _ in first }
    }
}
