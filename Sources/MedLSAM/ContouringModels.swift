import ModelRuntime
import Synchronization

/// A network of the model library that contouring can run; the raw value is its name there. Inputs and outputs as in the manifests in Models/.
public enum ContouringNetwork: String, Codable, CaseIterable, Sendable {
    /// MedLAM as trained here. `position`: patch [N, 1, 64, 64, 64] to position [N, 3]; `features`: patch to position and feature0 to feature2.
    case medlamHN = "medlam-hn"
    /// MedLAM as published, with the same graphs and more channels.
    case medlam
    /// LiteMedSAM. `encoder`: image [1, 3, 256, 256] to embedding [1, 256, 64, 64]; `decoder`: embedding, boxes [B, 4] to logits [B, 1, 256, 256], iou [B].
    case liteMedSAM = "lite-medsam"
    /// The segmenter trained here. `segment`: scan [N, 1, 48, 64, 64] to logits [N, structures, 48, 64, 64].
    case segmenterHN = "segmenter-hn"
    /// The same graphs for an image [1, 3, 1024, 1024] and boxes in its pixels.
    case medsamViTB = "medsam-vit-b", samViTB = "sam-vit-b"

    /// Those that a template set can be made with.
    public static let medlams = [medlamHN, medlam]

    /// Whether it needs so much memory that one call must follow another: a ViT-B's attention of 4096 to 4096 places is 0.8 GB.
    public var isCalledOnceAtATime: Bool { self == .medsamViTB || self == .samViTB }
}

/// The networks that contouring may run; a graph is loaded when a method first asks for it, and kept.
public final class ContouringModels: Sendable {
    private let digest: @Sendable (ContouringNetwork) throws -> String
    private let load: @Sendable (ContouringNetwork, String) throws -> any Model
    private let structures: @Sendable (ContouringNetwork) throws -> [String]
    private let loaded = Mutex<[String: any Model]>([:])

    /// `digest` is the SHA-256 of a network's installed weights, `load` one of its graphs, `structures` the TG-263 names of what its channels
    /// draw; all throw what is missing.
    public init(digest: @escaping @Sendable (ContouringNetwork) throws -> String, structures: @escaping @Sendable (ContouringNetwork) throws -> [String],
                load: @escaping @Sendable (ContouringNetwork, String) throws -> any Model) {
        self.digest = digest
        self.structures = structures
        self.load = load
    }

    /// SHA-256 of a network's weights; throws when they are not installed.
    public func digest(of network: ContouringNetwork) throws -> String { try digest(network) }

    /// The TG-263 names of what a network's channels draw; throws when it is not known.
    public func structures(of network: ContouringNetwork) throws -> [String] { try structures(network) }

    /// One graph of a network; throws when its weights are not installed.
    public func graph(_ graph: String, of network: ContouringNetwork) throws -> any Model {
        try loaded.withLock { loaded in
            let key = "\(network.rawValue)/\(graph)"
            if let model = loaded[key] { return model }
            let model = try load(network, graph)
            loaded[key] = model
            return model
        }
    }

    /// The installed MedLAM that a template set was made with; throws `templateSetForOtherWeights` when it is another.
    public func medlam(of templates: TemplateSet) throws -> ContouringNetwork {
        let installed = ContouringNetwork.medlams.compactMap { network in (try? digest(network)).map { (network, $0) } }
        if let match = installed.first(where: { $0.1 == templates.medlamDigest }) { return match.0 }
        // Without any, the reason is the library's: not imported, outdated or damaged.
        if installed.isEmpty { _ = try digest(.medlamHN) }
        let known = installed.map { "\($0.0.rawValue) \($0.1.prefix(12))" }.joined(separator: ", ")
        throw MedLSAMError(.templateSetForOtherWeights,
            "Template set \(templates.name) version \(templates.version) was made with MedLAM weights \(templates.medlamDigest.prefix(12)), but "
            + "those installed are \(known): import its own, or rebuild it with `template build`.")
    }

    /// The networks that a method runs with a template set; throws when its MedLAM is not installed.
    public func networks(of method: ContouringMethod, _ templates: TemplateSet) throws -> [ContouringNetwork] {
        try (method.localiser.needsMedLAM ? [medlam(of: templates)] : []) + segmenters(of: method.segmenter, templates)
    }

    /// The networks that segment; with the trained one, LiteMedSAM too where the template set has structures that it was not trained on.
    public func segmenters(of choice: SegmenterChoice, _ templates: TemplateSet) throws -> [ContouringNetwork] {
        guard choice == .trained else { return choice.networks }
        let known = try structures(of: .segmenterHN)
        return choice.networks + (templates.structures.allSatisfy { known.contains($0.name) } ? [] : [.liteMedSAM])
    }
}
