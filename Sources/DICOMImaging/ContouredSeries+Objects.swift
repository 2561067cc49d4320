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
            try make(specification, segmentation: nil) { object in
                segmentations[options] = object
                try each(index, object)
            }
        }
        for (index, specification) in specifications.enumerated() where specification.kind != .segmentation {
            var segmentation: ResultObject?
            if case .measurements(_, of: let options?) = specification { segmentation = segmentations[options] }
            try make(specification, segmentation: segmentation) { try each(index, $0) }
        }
    }

    private func make(_ specification: ResultSpecification, segmentation: ResultObject?, each: (ResultObject) throws -> Void) throws {
        var own = self
        own.specification = specification
        switch specification {
        case .segmentation(let options): try each(SegmentationWriter.make(own, options))
        case .structureSet(let options): try each(StructureSetWriter.make(own, options))
        case .measurements(let options, _): try each(MeasurementWriter.make(own, options, segmentation: segmentation))
        case .overlay(let options): try OverlayWriter.make(own, options, each: each)
        case .summary(let options): try each(SummaryWriter.make(own, options))
        case .document(let options): try each(DocumentWriter.make(own, options))
        }
    }
}
