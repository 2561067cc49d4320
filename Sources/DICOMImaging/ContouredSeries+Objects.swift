/// The one place that knows which writer makes what.
extension ContouredSeries {
    /// Makes the objects of several specifications, each once, and hands them out one at a time with the index of their specification: SEGs
    /// come before all else, since reports refer to them.
    ///
    /// Throws `nothingSegmented` when no structure has a mask, and what `each` throws.
    public func makeObjects(_ specifications: [ResultSpecification], each: (_ specification: Int, _ object: ResultObject) throws -> Void) throws {
        var segmentations: [SegmentationOptions: ResultObject] = [:]
        for (index, specification) in specifications.enumerated() {
            guard case .segmentation(let options) = specification else { continue }
            let object = try make(specification, segmentation: nil)[0]
            segmentations[options] = object
            try each(index, object)
        }
        for (index, specification) in specifications.enumerated() where specification.kind != .segmentation {
            var segmentation: ResultObject?
            if case .measurements(_, of: let options?) = specification { segmentation = segmentations[options] }
            for object in try make(specification, segmentation: segmentation) { try each(index, object) }
        }
    }

    private func make(_ specification: ResultSpecification, segmentation: ResultObject?) throws -> [ResultObject] {
        var own = self
        own.specification = specification
        return switch specification {
        case .segmentation(let options): [try SegmentationWriter.make(own, options)]
        case .structureSet(let options): [try StructureSetWriter.make(own, options)]
        case .measurements(let options, _): [try MeasurementWriter.make(own, options, segmentation: segmentation)]
        case .overlay, .summary, .document:
            throw ImagingError(.unsupported, "Series \(series.seriesInstanceUID): \(specification.name) cannot be written yet.")
        }
    }
}
