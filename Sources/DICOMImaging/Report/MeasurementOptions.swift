/// How measurements are reported.
public struct MeasurementOptions: Codable, Sendable, Hashable {
    /// What is told of a structure's Hounsfield units (PS3.16 CID 7464).
    public enum Statistic: String, Codable, Sendable, CaseIterable { case mean, standardDeviation, minimum, maximum }
    /// Statistics of Hounsfield units, in this order, beside the volume.
    public var attenuation: [Statistic]
    /// Whether the source's images are listed with their geometry (PS3.16 TID 1600), one content item each.
    public var imageLibrary: Bool

    public init(attenuation: [Statistic] = Statistic.allCases, imageLibrary: Bool = true) {
        self.attenuation = attenuation
        self.imageLibrary = imageLibrary
    }
}
