/// A transfer syntax this node writes or names (PS3.5 section 10, PS3.6 table A-1).
public struct TransferSyntax: Hashable, Sendable {
    /// The identifier of the encoding.
    public let uid: UID

    /// The transfer syntax of a UID, known here or not.
    public init(_ uid: UID) { self.uid = uid }

    private init(_ uid: StaticString) { self.uid = UID(constant: uid) }

    public static let implicitVRLittleEndian = TransferSyntax("1.2.840.10008.1.2")
    public static let explicitVRLittleEndian = TransferSyntax("1.2.840.10008.1.2.1")
    public static let deflatedExplicitVRLittleEndian = TransferSyntax("1.2.840.10008.1.2.1.99")
    public static let explicitVRBigEndian = TransferSyntax("1.2.840.10008.1.2.2")
    public static let jpegBaseline = TransferSyntax("1.2.840.10008.1.2.4.50")
    public static let jpegExtended = TransferSyntax("1.2.840.10008.1.2.4.51")
    /// Retired (PS3.5-2004 A.4.1), as is the next.
    public static let jpegSpectralSelection = TransferSyntax("1.2.840.10008.1.2.4.53")
    public static let jpegFullProgression = TransferSyntax("1.2.840.10008.1.2.4.55")
    public static let jpegLossless = TransferSyntax("1.2.840.10008.1.2.4.57")
    public static let jpegLosslessSV1 = TransferSyntax("1.2.840.10008.1.2.4.70")
    public static let jpegLSLossless = TransferSyntax("1.2.840.10008.1.2.4.80")
    public static let jpegLSNearLossless = TransferSyntax("1.2.840.10008.1.2.4.81")
    public static let jpeg2000Lossless = TransferSyntax("1.2.840.10008.1.2.4.90")
    public static let jpeg2000 = TransferSyntax("1.2.840.10008.1.2.4.91")
    /// High-Throughput JPEG 2000, lossless only.
    public static let htj2kLossless = TransferSyntax("1.2.840.10008.1.2.4.201")
    /// High-Throughput JPEG 2000, lossless only, in the order of resolutions.
    public static let htj2kLosslessRPCL = TransferSyntax("1.2.840.10008.1.2.4.202")
    /// High-Throughput JPEG 2000, with loss or without.
    public static let htj2k = TransferSyntax("1.2.840.10008.1.2.4.203")
    public static let rleLossless = TransferSyntax("1.2.840.10008.1.2.5")

    /// Whether pixel data lie in fragments, so that only a codec could turn them into another syntax.
    public var isEncapsulated: Bool {
        ![.implicitVRLittleEndian, .explicitVRLittleEndian, .deflatedExplicitVRLittleEndian, .explicitVRBigEndian].contains(self)
    }
}
