import DICOMCore

extension ObjectCheck {
    /// A Comprehensive 3D SR by TID 1500.
    func verifyReport(_ d: EncodedItem, _ siblings: Siblings) throws(Breach) {
        try demand(d.text(.verificationFlag) == "UNVERIFIED", "its Verification Flag is not UNVERIFIED")
        try demand(d.text(.completionFlag) != nil, "it has no Completion Flag")
        try demand(d.text(.valueType) == "CONTAINER" && d.items(.contentTemplateSequence).first?.text(.templateIdentifier) == "1500", "it is no report by TID 1500")
        let evidence = try verifyEvidence(d, siblings)
        var groups = 0
        try d.walk { item, sequence throws(Breach) in
            guard sequence == Tag.contentSequence.number else { return }
            for reference in item.items(.referencedSOPSequence) {
                let instance = reference.text(.referencedSOPInstanceUID) ?? ""
                try demand(evidence.contains(instance), "its content refers to instance \(instance), which is not in its evidence")
            }
            switch item.text(.valueType) {
            case "NUM":
                let values = item.items(.measuredValueSequence)
                try demand(values.count == 1 && values[0].decimals(.numericValue)?.count == 1 && values[0].items(.measurementUnitsCodeSequence).count == 1,
                           "a measurement has no number or no unit")
            case "CONTAINER" where item.concept(.conceptNameCodeSequence) == ReportConcept.measurementGroup.value:
                groups += 1
                do throws(Breach) { try verifyGroup(item, siblings) } catch { throw Breach("measurement group \(groups) \(error.reason)") }
            default: break
            }
        }
        try demand(groups > 0, "it has no measurement group")
    }

    /// Returns the instances of the evidence.
    private func verifyEvidence(_ d: EncodedItem, _ siblings: Siblings) throws(Breach) -> Set<String> {
        var evidence: Set<String> = []
        let studies = d.items(.currentRequestedProcedureEvidenceSequence)
        for study in studies + d.items(.predecessorDocumentsSequence) {
            try demand(study.text(.studyInstanceUID) == source.studyInstanceUID, "its evidence is of another study")
        }
        for series in studies.flatMap({ $0.items(.referencedSeriesSequence) }) {
            for reference in series.items(.referencedSOPSequence) {
                let instance = reference.text(.referencedSOPInstanceUID) ?? ""
                let expected = siblings.seriesOf[instance] ?? source.seriesInstanceUID
                try demand(series.text(.seriesInstanceUID) == expected, "its evidence has instance \(instance) in another series")
                evidence.insert(instance)
            }
        }
        return evidence
    }

    private func verifyGroup(_ group: EncodedItem, _ siblings: Siblings) throws(Breach) {
        let items = group.items(.contentSequence)
        func values(_ concept: CodedConcept) -> [EncodedItem] { items.filter { $0.concept(.conceptNameCodeSequence) == concept.value } }
        try demand(values(ReportConcept.trackingIdentifier).first?.text(.textValue) != nil, "has no tracking identifier")
        guard let tracking = values(ReportConcept.trackingUID).first?.text(.uid) else { throw Breach("has no tracking UID") }
        try demand(values(ReportConcept.state).first?.items(.conceptCodeSequence).count == 1, "does not say what became of its structure")
        try demand(values(ReportConcept.sourceSeries).first?.text(.uid) == source.seriesInstanceUID, "is of another source series")
        let segments = values(ReportConcept.referencedSegment).flatMap { $0.items(.referencedSOPSequence) }
        let isVolumetric = group.items(.contentTemplateSequence).first?.text(.templateIdentifier) == "1411"
        try demand(segments.count == (isVolumetric ? 1 : 0), "does not refer to a segment as its template demands")
        for segment in segments {
            let known = siblings.trackingUIDs[segment.text(.referencedSOPInstanceUID) ?? ""] ?? [:]
            try demand(segment.words(.referencedSegmentNumber).first.flatMap { known[$0] } == tracking, "refers to a segment that tracks another structure")
        }
    }

    /// A secondary capture: its pixels are as many as it says, and whoever looks at it is told that nobody approved it.
    func verifyCapture(_ d: EncodedItem) throws(Breach) {
        let samples = d.words(.samplesPerPixel).first ?? 0, bits = d.words(.bitsAllocated).first ?? 0
        let frames = d.text(.numberOfFrames).map { Int($0) ?? 0 } ?? 1
        try demand(samples == 3 && d.text(.photometricInterpretation) == "RGB" || samples == 1 && d.text(.photometricInterpretation) == "MONOCHROME2",
                   "its samples are not those of its Photometric Interpretation")
        try demand(bits == 8 && d.words(.bitsStored).first == 8 && d.words(.highBit).first == 7 && frames > 0, "its pixels are not of eight bits")
        try demand(d.text(.conversionType) != nil, "it has no Conversion Type")
        try demand(d.text(.burnedInAnnotation) != nil, "it does not say whether text is burned in")
        try verifyPixelLength(d, frames: frames, bits: samples * bits)
    }

    /// An overlay lies on the slice that it shows, magnified at will.
    func verifyOverlay(_ d: EncodedItem) throws(Breach) {
        try verifyCapture(d)
        let images = d.items(.sourceImageSequence)
        guard images.count == 1, let image = source.frame(images[0]) else { throw Breach("it names no single source image") }
        guard let p = d.decimals(.imagePositionPatient), p.count == 3, let o = d.decimals(.imageOrientationPatient), o.count == 6 else { throw Breach("it has no plane") }
        try demand(image.place(SIMD3(p)).height.magnitude <= Self.positionToleranceMM, "it lies on another plane than its source image")
        try demand(image.isOriented(SIMD3(o[..<3]), SIMD3(o[3...])), "it is oriented otherwise than its source image")
    }

    /// An Encapsulated PDF.
    func verifyDocument(_ d: EncodedItem) throws(Breach) {
        try demand(d.text(.verificationFlag) == "UNVERIFIED", "its Verification Flag is not UNVERIFIED")
        try demand(d.text(.mimeTypeOfEncapsulatedDocument) == "application/pdf", "its MIME type is not that of a PDF")
        guard let bytes = d.bytes(.encapsulatedDocument), bytes.starts(with: "%PDF-".utf8) else { throw Breach("it holds no PDF") }
        let end = bytes.suffix(1024)
        try demand(end.indices.contains { end[$0...].starts(with: "%%EOF".utf8) }, "its PDF has no end")
        if let length = d.longs(.encapsulatedDocumentLength).first { try demand(bytes.count - length == length % 2, "its Encapsulated Document Length is another than its document's") }
    }
}

extension EncodedItem {
    /// The code value of a sequence's first item.
    fileprivate func concept(_ tag: Tag) -> String? { items(tag).first?.text(.codeValue) }
}
