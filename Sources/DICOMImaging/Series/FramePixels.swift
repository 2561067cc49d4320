import CGDCM
import DICOMCore

/// The pixels of an image, decoded a frame at a time. Not Sendable: a thread has its own.
///
/// Native samples and the JPEG and RLE families go through DCMTK, JPEG-LS through GDCM, JPEG 2000 and its high-throughput sort
/// through OpenJPEG; docs/reference/pixels.md says why.
struct FramePixels {
    private let data: PixelData
    let format: PixelFormat
    private let coding: Coding

    private enum Coding {
        case native, rle, jpeg, jpegLS, jpeg2000
    }

    /// Throws why the pixel data cannot be those of so many frames in this format.
    init(_ dataSet: DataSet, format: PixelFormat, frames: Int = 1) throws(Refusal) {
        guard let uid = dataSet.transferSyntaxUID else { throw Refusal(.unreadable, "its transfer syntax is missing") }
        try self.init(format, TransferSyntax(uid)) { () throws(DICOMError) in try PixelData(dataSet, frames: frames, frameLength: format.frameLength) }!
    }

    /// Opens an image where its pixel data lie; nil where that does not tell its frames apart.
    init?(_ place: PixelDataPlace, format: PixelFormat, frames: Int) throws(Refusal) {
        try self.init(format, place.transferSyntax) { () throws(DICOMError) in try PixelData(place, frames: frames, frameLength: format.frameLength) }
    }

    private init?(_ format: PixelFormat, _ syntax: TransferSyntax, _ open: () throws(DICOMError) -> PixelData?) throws(Refusal) {
        guard let coding = Self.coding(of: syntax) else { throw Refusal(.unsupported, "there is no codec for its transfer syntax \(syntax.uid)") }
        let opened: PixelData?
        do { opened = try open() } catch { throw Refusal(.unreadable, error.message) }
        guard let data = opened else { return nil }
        self.data = data
        guard data.isEncapsulated == (coding != .native) else { throw Refusal(.unreadable, "its pixel data are not encoded as its transfer syntax says") }
        self.format = format
        self.coding = coding
    }

    private static func coding(of syntax: TransferSyntax) -> Coding? {
        switch syntax {
        case .implicitVRLittleEndian, .explicitVRLittleEndian, .deflatedExplicitVRLittleEndian, .explicitVRBigEndian: .native
        case .rleLossless: .rle
        case .jpegBaseline, .jpegExtended, .jpegSpectralSelection, .jpegFullProgression, .jpegLossless, .jpegLosslessSV1: .jpeg
        case .jpegLSLossless, .jpegLSNearLossless: .jpegLS
        case .jpeg2000Lossless, .jpeg2000, .htj2kLossless, .htj2kLosslessRPCL, .htj2k: .jpeg2000
        default: nil
        }
    }

    /// A frame's stored words, column fastest, and where in them the samples lie; the first frame is number 0.
    func words(ofFrame n: Int) throws(Refusal) -> (words: [UInt16], format: PixelFormat) {
        var words = [UInt16](repeating: 0, count: format.count), found = format, refusal: Refusal?
        words.withUnsafeMutableBufferPointer { words in
            do throws(Refusal) { found = try decode(n, into: words) } catch { refusal = error }
        }
        if let refusal { throw refusal }
        return (words, found)
    }

    /// Fills memory with a frame's stored words, column fastest; returns where in them the samples lie. The first frame is number 0.
    func decode(_ n: Int, into words: UnsafeMutableBufferPointer<UInt16>) throws(Refusal) -> PixelFormat {
        if coding == .native, format.bitsAllocated == 16 {
            try dcmtk { () throws(DICOMError) in try data.copySamples(ofFrame: n, into: UnsafeMutableRawBufferPointer(words)) }
            return format
        }
        // What a codec leaves out must not be what was in memory.
        if coding == .jpeg || coding == .jpegLS { words.update(repeating: 0) }
        var bytes: [UInt8] = []
        try dcmtk { () throws(DICOMError) in bytes = try data.bytes(ofFrame: n) }
        return try decode(bytes, into: words)
    }

    private func decode(_ bytes: [UInt8], into words: UnsafeMutableBufferPointer<UInt16>) throws(Refusal) -> PixelFormat {
        switch coding {
        case .native:
            for (n, byte) in bytes.enumerated() { words[n] = UInt16(byte) }
            return format
        case .rle:
            try dcmtk { () throws(DICOMError) in try FrameCodec.decodeRLE(bytes, bytesPerSample: format.bitsAllocated / 8, into: words) }
            return format
        case .jpeg:
            let header = try checked(try .jpeg(bytes))
            try dcmtk { () throws(DICOMError) in try FrameCodec.decodeJPEG(bytes, precision: header.precision, into: words) }
            return try format.decoded(header, words)
        case .jpegLS:
            let header = try checked(try .jpeg(bytes))
            guard Codestream.isComplete(jpegLS: bytes) else { throw Refusal(.unreadable, "its codestream is truncated") }
            try codec { reason, size in
                cgdcm_decode_jpegls(bytes, bytes.count, UInt32(format.columns), UInt32(format.rows), UInt32(header.precision), words.baseAddress, reason, size)
            }
            return try format.decoded(header, words)
        case .jpeg2000:
            let stream = try Codestream.unwrapped(bytes), header = try checked(try .jpeg2000(stream))
            try codec { reason, size in
                cgdcm_decode_jpeg2000(stream, stream.count, UInt32(format.columns), UInt32(format.rows), words.baseAddress, reason, size)
            }
            return try format.decoded(header, words)
        }
    }

    /// Holds a codestream's header against the data set.
    private func checked(_ header: Codestream) throws(Refusal) -> Codestream {
        guard header.columns == format.columns, header.rows == format.rows, header.components == 1 else {
            throw Refusal(.unreadable, "its codestream has other columns, rows or components than the data set")
        }
        guard (1...format.bitsAllocated).contains(header.precision) else {
            throw Refusal(.unreadable, "its codestream has samples of \(header.precision) bits, more than Bits Allocated \(format.bitsAllocated)")
        }
        return header
    }

    private func dcmtk(_ body: () throws(DICOMError) -> Void) throws(Refusal) {
        do { try body() } catch { throw Refusal(.unreadable, error.message) }
    }

    private func codec(_ body: (UnsafeMutablePointer<CChar>, Int) -> Int32) throws(Refusal) {
        var reason = [CChar](repeating: 0, count: 200)
        let isDecoded = reason.withUnsafeMutableBufferPointer { body($0.baseAddress!, $0.count) } != 0
        guard isDecoded else { throw Refusal(.unreadable, String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)) }
    }
}
