import DICOMCore

/// How an image was compressed with loss, once or more often (PS3.3 C.7.6.1.1.5): what every image derived from it must say too.
public struct LossyCompression: Sendable, Hashable {
    /// Lossy Image Compression Ratio: one a step, such as 10 for ten to one; empty where nobody knows.
    public var ratios: [Double]
    /// Lossy Image Compression Method: a defined term a step, such as ISO_10918_1; empty where nobody knows.
    public var methods: [String]

    public init(ratios: [Double] = [], methods: [String] = []) {
        self.ratios = ratios
        self.methods = methods
    }

    /// What an image says of itself, or else its transfer syntax does; nil where it never lost anything. `compressedLength`: of all its codestreams.
    init?(_ dataSet: DataSet, format: PixelFormat, compressedLength: Int?) {
        let syntax = dataSet.transferSyntaxUID.flatMap { Self.methods[TransferSyntax($0)] }
        let flag = dataSet.string(.lossyImageCompression)
        guard flag == "01" || syntax?.isAlwaysLossy == true || syntax != nil && flag != "00" else { return nil }
        ratios = dataSet.doubles(.lossyImageCompressionRatio)
        methods = dataSet.strings(.lossyImageCompressionMethod).filter { !$0.isEmpty }
        guard let syntax, ratios.isEmpty || methods.isEmpty else { return }
        methods = [syntax.method]
        let frames = dataSet.integer(.numberOfFrames) ?? 1, pixels = format.count * format.bitsAllocated / 8 * max(frames, 1)
        ratios = compressedLength.map { [(10 * Double(pixels) / Double($0)).rounded() / 10] } ?? []
    }

    /// Of all steps together; 1 where nobody knows.
    var ratio: Double { ratios.reduce(1, *) }

    /// The transfer syntaxes that lose something, and those that may.
    private static let methods: [TransferSyntax: (method: String, isAlwaysLossy: Bool)] = [
        .jpegBaseline: ("ISO_10918_1", true), .jpegExtended: ("ISO_10918_1", true),
        .jpegSpectralSelection: ("ISO_10918_1", true), .jpegFullProgression: ("ISO_10918_1", true),
        .jpegLSNearLossless: ("ISO_14495_1", false), .jpeg2000: ("ISO_15444_1", false), .htj2k: ("ISO_15444_15", false),
    ]
}
