import DICOMCore

/// What selection rules ask of an instance beside its geometry; descriptions may hold names, and are never printed unasked.
public struct SeriesAttributes: Sendable, Codable, Hashable {
    /// Body Part Examined (0018,0015), and the code values and meanings in Anatomic Region Sequence (0008,2218).
    public let bodyParts: [String]
    public let seriesDescription: String?
    public let studyDescription: String?
    public let protocolName: String?
    /// Convolution Kernel (0018,1210): two values from some makers.
    public let convolutionKernel: [String]
    public let acquisitionNumber: Int?

    /// A longer text is cut: no VR of these has as much, and every slice keeps a copy.
    static let maximumLength = 256

    /// Reads them from the data set, or where a multi-frame object keeps them: in its shared functional groups, else in those of its
    /// first frame (PS3.3 C.7.6.16, C.8.15.3).
    init(_ dataSet: DataSet) {
        let groups = [dataSet] + [Tag.sharedFunctionalGroupsSequence, .perFrameFunctionalGroupsSequence].compactMap { dataSet.items($0).first }
        func first<T>(_ sequence: Tag, _ read: (DataSet) -> T?) -> T? {
            if let value = read(dataSet) { return value }
            for group in groups { if let value = group.items(sequence).first.flatMap(read) { return value } }
            return nil
        }
        func texts(_ tag: Tag, in dataSet: DataSet) -> [String] {
            dataSet.strings(tag).filter { !$0.isEmpty }.map { String($0.prefix(Self.maximumLength)) }
        }
        let regions = first(.frameAnatomySequence) { $0.items(.anatomicRegionSequence).first }
        bodyParts = texts(.bodyPartExamined, in: dataSet) + (regions.map { region in
            [Tag.codeValue, .codeMeaning].flatMap { texts($0, in: region) }
        } ?? [])
        seriesDescription = texts(.seriesDescription, in: dataSet).first
        studyDescription = texts(.studyDescription, in: dataSet).first
        protocolName = texts(.protocolName, in: dataSet).first
        convolutionKernel = first(.ctReconstructionSequence) { item in
            let kernel = texts(.convolutionKernel, in: item)
            return kernel.isEmpty ? nil : kernel
        } ?? []
        acquisitionNumber = dataSet.integer(.acquisitionNumber)
    }
}
