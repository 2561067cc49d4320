import DICOMCore

extension ObjectCheck {
    func verifyStructureSet(_ d: EncodedItem) throws(Breach) {
        try demand(d.text(.approvalStatus) == "UNAPPROVED", "its Approval Status is not UNAPPROVED")
        try demand(d.text(.structureSetLabel) != nil, "it has no Structure Set Label")
        let listed = try verifyImages(d)
        let rois = d.items(.structureSetROISequence), numbers = rois.map { $0.text(.roiNumber) ?? "" }
        try demand(!rois.isEmpty && !numbers.contains("") && Set(numbers).count == rois.count, "its ROI numbers are missing or not unique")
        for (number, roi) in zip(numbers, rois) {
            try demand(roi.text(.roiName) != nil, "ROI \(number) has no name")
            try demand(roi.text(.roiGenerationAlgorithm) == "AUTOMATIC", "ROI \(number) is not marked AUTOMATIC")
            try demand(roi.text(.referencedFrameOfReferenceUID) == source.frameOfReferenceUID, "ROI \(number) lies in another frame of reference than the source")
        }
        let observations = d.items(.rtROIObservationsSequence)
        try demand(Set(observations.map { $0.text(.observationNumber) ?? "" }).count == observations.count, "its observation numbers are not unique")
        try demand(observations.map { $0.text(.referencedROINumber) ?? "" }.sorted() == numbers.sorted(), "not every ROI has one observation")
        for observation in observations {
            try demand(observation.find(.rtROIInterpretedType) != nil && observation.find(.roiInterpreter) != nil, "an observation has no type or no interpreter element")
        }
        let contoured = d.items(.roiContourSequence), referenced = contoured.map { $0.text(.referencedROINumber) ?? "" }
        try demand(Set(referenced).isSubset(of: numbers) && Set(referenced).count == referenced.count, "contours are of an ROI that is not described, or of one twice")
        try demand(!contoured.isEmpty, "it has no contours")
        for (number, roi) in zip(referenced, contoured) {
            let color = roi.decimals(.roiDisplayColor) ?? []
            try demand(color.count == 3 && color.allSatisfy { (0...255).contains($0) }, "ROI \(number) has no colour of three numbers from 0 to 255")
            let contours = roi.items(.contourSequence)
            try demand(!contours.isEmpty, "ROI \(number) has an item of contours without any")
            for (n, contour) in zip(1..., contours) {
                do throws(Breach) { try verifyContour(contour, listed) } catch { throw Breach("contour \(n) of ROI \(number) \(error.reason)") }
            }
        }
    }

    /// Returns the images that contours may lie on.
    private func verifyImages(_ d: EncodedItem) throws(Breach) -> Set<CheckedSource.Key> {
        let frames = d.items(.referencedFrameOfReferenceSequence)
        try demand(frames.count == 1 && frames[0].text(.frameOfReferenceUID) == source.frameOfReferenceUID, "its Referenced Frame of Reference is not the source's alone")
        let series = frames[0].items(.rtReferencedStudySequence).flatMap { $0.items(.rtReferencedSeriesSequence) }
        try demand(series.count == 1 && series[0].text(.seriesInstanceUID) == source.seriesInstanceUID, "its RT Referenced Series Sequence is not the source alone")
        var listed: Set<CheckedSource.Key> = []
        for image in series[0].items(.contourImageSequence) {
            let instance = image.text(.referencedSOPInstanceUID) ?? "", numbers = image.texts(.referencedFrameNumber)
            for number in numbers.isEmpty ? ["0"] : numbers { listed.insert(.init(instance: instance, number: Int(number) ?? -1)) }
        }
        try demand(!listed.isEmpty, "it lists no images")
        return listed
    }

    private func verifyContour(_ contour: EncodedItem, _ listed: Set<CheckedSource.Key>) throws(Breach) {
        try demand(["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"].contains(contour.text(.contourGeometricType)), "is no closed planar contour")
        let images = contour.items(.contourImageSequence)
        guard images.count == 1, let image = source.frame(images[0]) else { throw Breach("names no single image of the series") }
        try demand(listed.contains(.init(instance: image.instance, number: image.number)), "names an image that the object does not list")
        guard let values = contour.decimals(.contourData), values.count % 3 == 0 else { throw Breach("has no triplets of coordinates") }
        let count = values.count / 3
        try demand(count >= 3, "has fewer than three points")
        try demand(contour.text(.numberOfContourPoints) == "\(count)", "has another number of points than it says")
        try demand(values[..<3] != values[(values.count - 3)...], "repeats its first point at its end")
        let width = Double(image.columns), height = Double(image.rows)
        for n in 0..<count {
            let place = image.place([values[3 * n], values[3 * n + 1], values[3 * n + 2]])
            try demand(place.height.magnitude <= Self.positionToleranceMM, "leaves the plane of its image")
            // A contour may run along the outer edges of pixels, and be smoothed beyond them by less than one.
            try demand(place.column > -1.5 && place.column < width + 0.5 && place.row > -1.5 && place.row < height + 0.5, "leaves its image")
        }
    }
}
