import ImagingGeometry
import ModelRuntime

/// Makes template sets from contoured cases.
public struct TemplateBuilder: Sendable {
    private let models: ContouringModels

    public init(models: ContouringModels) {
        self.models = models
    }

    /// Makes a template set; masks are by TG-263 name and on their case's grid. Throws `casesUnusable`.
    public func build(name: String, version: Int, provenance: String, structures: [StructureDefinition],
                      cases: [(volume: Volume, masks: [String: Mask])]) throws -> TemplateSet {
        throw MedLSAMError(.casesUnusable, "Building template sets is not built yet.")
    }
}
