import DICOMCore

/// A content item of a structured report that others are put under (PS3.3 C.17.3).
struct ContentItem {
    /// Relationship Type (PS3.3 C.17.3.2.4).
    enum Relationship: String {
        case contains = "CONTAINS", hasObservationContext = "HAS OBS CONTEXT", hasConceptModifier = "HAS CONCEPT MOD", hasAcquisitionContext = "HAS ACQ CONTEXT"
    }

    let dataSet: DataSet

    /// Makes a data set the root of a document: a container by a template.
    init(root dataSet: DataSet, _ name: CodedConcept, template: String) throws {
        self.dataSet = dataSet
        try become("CONTAINER", name)
        try becomeContainer(template)
    }

    private init(_ parent: ContentItem, _ relationship: Relationship, _ type: String, _ name: CodedConcept?) throws {
        dataSet = try parent.dataSet.addItem(.contentSequence)
        try dataSet.set(.relationshipType, relationship.rawValue)
        try become(type, name)
    }

    private func become(_ type: String, _ name: CodedConcept?) throws {
        try dataSet.set(.valueType, type)
        if let name { try dataSet.set(.conceptNameCodeSequence, name) }
    }

    private func becomeContainer(_ template: String?) throws {
        try dataSet.set(.continuityOfContent, "SEPARATE")
        guard let template else { return }
        let item = try dataSet.addItem(.contentTemplateSequence)
        try item.set(.mappingResource, "DCMR")
        try item.set(.templateIdentifier, template)
    }

    func container(_ name: CodedConcept, template: String? = nil) throws -> ContentItem {
        let item = try ContentItem(self, .contains, "CONTAINER", name)
        try item.becomeContainer(template)
        return item
    }

    @discardableResult
    func code(_ relationship: Relationship, _ name: CodedConcept, _ value: CodedConcept) throws -> ContentItem {
        let item = try ContentItem(self, relationship, "CODE", name)
        try item.dataSet.set(.conceptCodeSequence, value)
        return item
    }

    func text(_ relationship: Relationship, _ name: CodedConcept, _ value: String) throws {
        try ContentItem(self, relationship, "TEXT", name).dataSet.set(.textValue, plain(value, 10240))
    }

    func uid(_ relationship: Relationship, _ name: CodedConcept, _ value: UID) throws {
        try ContentItem(self, relationship, "UIDREF", name).dataSet.set(.uid, value)
    }

    /// A number to so many decimals, which are those that its measuring is good for.
    @discardableResult
    func number(_ relationship: Relationship, _ name: CodedConcept, _ value: Double, decimals: Int, _ unit: CodedConcept) throws -> ContentItem {
        let item = try ContentItem(self, relationship, "NUM", name)
        let measured = try item.dataSet.addItem(.measuredValueSequence)
        let scale = [1.0, 10, 100, 1000, 10_000][decimals]
        // Without a minus before zero.
        try measured.set(.numericValue, (value * scale).rounded() / scale + 0)
        try measured.set(.measurementUnitsCodeSequence, unit)
        return item
    }

    /// An image, or a segment of one.
    func image(_ name: CodedConcept? = nil, _ sopClass: UID, _ instance: UID, segment: Int? = nil) throws {
        let reference = try ContentItem(self, .contains, "IMAGE", name).dataSet.addItem(.referencedSOPSequence)
        try reference.set(.referencedSOPClassUID, sopClass)
        try reference.set(.referencedSOPInstanceUID, instance)
        if let segment { try reference.set(.referencedSegmentNumber, segment) }
    }
}
