import Foundation
import ImagingGeometry

/// What localisation needs to know of the support patients: latent positions, features and shapes, never voxels.
public struct TemplateSet: Codable, Sendable {
    public let name: String
    public let version: Int
    /// Where the support patients come from and under which licence.
    public let provenance: String
    /// SHA-256 of the MedLAM weights that made it; no others can read its positions and features.
    public let medlamDigest: String
    /// The structures it knows, in the order of the results.
    public let structures: [StructureDefinition]

    /// Reads an encoded template set; throws `templateSetUnreadable`.
    public init(decoding data: Data) throws {
        do {
            self = try JSONDecoder().decode(TemplateSet.self, from: data)
        } catch {
            throw MedLSAMError(.templateSetUnreadable, "The template set cannot be read: \(error)")
        }
    }

    /// JSON with readable names and sorted keys; arrays are base64 of little-endian half precision.
    public func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }
}
