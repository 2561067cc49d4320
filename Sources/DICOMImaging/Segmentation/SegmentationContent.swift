import DICOMCore
import ImagingGeometry

/// What a SEG of a result holds: which structures, told how.
struct SegmentationContent {
    /// The form asked for, or the one that it falls back to.
    let form: SegmentationOptions.Form
    /// The structures with a mask; their numbers are their places here, from 1.
    let drawn: [ResultSegment]
    /// What is to be said of each of them.
    let remarks: [String]
    let frames: SegmentationFrames

    init(_ contoured: ContouredSeries, _ options: SegmentationOptions) {
        let pairs = zip(contoured.segments, contoured.drawings).compactMap { segment, drawing in drawing.mask.map { (segment, $0) } }
        let drawn = pairs.map(\.0), masks = pairs.map(\.1)
        self.drawn = drawn
        switch options.form {
        case .labelmap:
            let map = LabelMap(masks)
            guard options.overlaps == .smallest || map.lost.allSatisfy({ $0 == 0 }) else { fallthrough }
            form = .labelmap
            remarks = zip(drawn, map.lost).map { $1 == 0 ? $0.remark : "\($0.remark); \($1) pixels that smaller structures have too are theirs" }
            frames = .labels(map, emptyFrames: options.emptyFrames)
        case .binary:
            form = .binary
            remarks = drawn.map(\.remark)
            frames = .binary(masks, emptyFrames: options.emptyFrames)
        case .fractional:
            form = .fractional
            remarks = drawn.map { $0.probabilities == nil ? "\($0.remark); no probabilities, all or nothing by the mask" : $0.remark }
            frames = .fractional(masks, pairs.map { segment, mask in segment.probabilities.map { contoured.series.grid.sourceProbabilities($0, of: mask) } },
                                 emptyFrames: options.emptyFrames)
        }
    }

    var sopClassUID: UID { form == .labelmap ? SOPClass.labelMapSegmentationStorage : SOPClass.segmentationStorage }
}
