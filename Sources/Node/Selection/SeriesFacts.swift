import DICOMImaging
import NodeConfiguration

/// What the headers of one stack of CT slices say, as selection rules ask for it.
struct SeriesFacts: Sendable, Equatable {
    typealias Text = Configuration.Selection.Text
    typealias Number = Configuration.Selection.Number

    /// The different values that slices have, each with its alternatives; empty alternatives where a slice states none.
    var texts: [Text: Set<[String]>] = [:]
    /// The different Image Types.
    var imageTypes: Set<[String]> = []
    /// The smallest and the largest value; absent where some slice states none.
    var numbers: [Number: ClosedRange<Double>] = [:]
    /// The different Acquisition Numbers and frames of reference, which tell acquisitions of a study apart.
    var acquisitions: Set<String> = []

    /// Localizers and instances of other classes are no slices, and say nothing.
    init(_ headers: [SliceHeader]) {
        let slices = headers.filter(\.isCTSlice)
        func texts(_ read: (SliceHeader) -> [String?]) -> Set<[String]> { Set(slices.map { read($0).compactMap { $0 } }) }
        self.texts = [
            .modality: texts { [$0.modality] }, .bodyPart: texts { $0.attributes?.bodyParts ?? [] },
            .seriesDescription: texts { [$0.attributes?.seriesDescription] }, .studyDescription: texts { [$0.attributes?.studyDescription] },
            .protocolName: texts { [$0.attributes?.protocolName] }, .convolutionKernel: texts { $0.attributes?.convolutionKernel ?? [] },
        ]
        imageTypes = Set(slices.map(\.imageType))
        acquisitions = Set(slices.map { "\($0.frameOfReferenceUID?.string ?? "") \($0.attributes?.acquisitionNumber.map(String.init) ?? "")" })
        func range(_ read: (SliceHeader) -> [Double]?) -> ClosedRange<Double>? {
            let values = slices.map(read)
            guard !values.isEmpty, !values.contains(nil) else { return nil }
            let all = values.flatMap { $0! }.filter(\.isFinite)
            return all.isEmpty ? nil : all.min()!...all.max()!
        }
        let places = SliceStack.places(of: slices)
        let steps = zip(places.dropFirst(), places).map { $0 - $1 }
        numbers[.sliceThicknessMM] = range { $0.sliceThicknessMM.map { [$0] } }
        numbers[.sliceSpacingMM] = steps.isEmpty ? nil : steps.min()!...steps.max()!
        numbers[.pixelSpacingMM] = range { $0.pixelSpacingMM.map { [$0.x, $0.y] } }
        numbers[.slices] = Double(places.count)...Double(places.count)
        numbers[.fieldOfViewMM] = range { slice in
            guard let spacing = slice.pixelSpacingMM, let columns = slice.columns, let rows = slice.rows else { return nil }
            return [spacing.x * Double(columns), spacing.y * Double(rows)]
        }
        numbers[.lengthMM] = places.isEmpty ? nil : (places.last! - places[0])...(places.last! - places[0])
    }

    /// Whether every slice is of a kernel with such a name.
    func isSoft(_ softKernel: TextPattern) -> Bool {
        let kernels = texts[.convolutionKernel] ?? []
        return !kernels.isEmpty && kernels.allSatisfy { $0.contains(where: softKernel.matches) }
    }
}
