import CGDCM
import DICOMCore

/// How one frame's samples are stored: the part of the Image Pixel module (PS3.3 C.7.6.3) that a CT slice may vary in.
struct PixelFormat: Hashable, Sendable {
    let columns, rows: Int
    let bitsAllocated, bitsStored, highBit: Int
    let isSigned: Bool

    /// The largest matrix accepted: four times that of any CT scanner, and a bound on what is allocated.
    static let maximumMatrix = 4096

    /// Throws why the slice cannot be one; the text continues a sentence about it.
    init(_ dataSet: DataSet) throws(Refusal) {
        func number(_ tag: Tag, _ name: String) throws(Refusal) -> Int {
            guard let value = dataSet.integer(tag) else { throw Refusal(.unreadable, "\(name) is missing") }
            return value
        }
        columns = try number(.columns, "Columns")
        rows = try number(.rows, "Rows")
        bitsAllocated = try number(.bitsAllocated, "Bits Allocated")
        bitsStored = try number(.bitsStored, "Bits Stored")
        highBit = try number(.highBit, "High Bit")
        isSigned = try number(.pixelRepresentation, "Pixel Representation") == 1
        guard (1...Self.maximumMatrix).contains(columns), (1...Self.maximumMatrix).contains(rows) else {
            throw Refusal(.unsupported, "its matrix is \(columns) x \(rows) (1 to \(Self.maximumMatrix) are read)")
        }
        guard try number(.samplesPerPixel, "Samples per Pixel") == 1, dataSet.string(.photometricInterpretation) == "MONOCHROME2" else {
            throw Refusal(.unsupported, "its pixels are not MONOCHROME2")
        }
        guard (dataSet.integer(.numberOfFrames) ?? 1) == 1 else { throw Refusal(.unsupported, "it has several frames") }
        guard [8, 16].contains(bitsAllocated) else { throw Refusal(.unsupported, "Bits Allocated is \(bitsAllocated) (8 and 16 are read)") }
        guard (1...bitsAllocated).contains(bitsStored), (bitsStored - 1..<bitsAllocated).contains(highBit) else {
            throw Refusal(.unreadable, "Bits Stored \(bitsStored) and High Bit \(highBit) do not fit Bits Allocated \(bitsAllocated)")
        }
    }

    private init(_ stored: PixelFormat, decoded: cgdcm_format) {
        (columns, rows, bitsAllocated) = (stored.columns, stored.rows, stored.bitsAllocated)
        (bitsStored, highBit, isSigned) = (Int(decoded.bits_stored), Int(decoded.high_bit), decoded.is_signed != 0)
    }

    /// The value of a stored word: the bits up to High Bit, sign extended (PS3.5 8.1.1).
    func value(_ word: UInt16) -> Int {
        let bits = Int(word) >> (highBit + 1 - bitsStored) & (1 << bitsStored - 1)
        return isSigned && bits >> (bitsStored - 1) == 1 ? bits - 1 << bitsStored : bits
    }

    /// The frame's stored words, and their format, which a codec may know better than the data set.
    func words(of dataSet: DataSet) throws(Refusal) -> (words: [UInt16], format: PixelFormat) {
        guard let uid = dataSet.transferSyntaxUID else { throw Refusal(.unreadable, "its transfer syntax is missing") }
        guard TransferSyntax(uid).isEncapsulated else {
            guard let bytes = dataSet.bytes(.pixelData) else { throw Refusal(.unreadable, "it has no pixel data") }
            return (try words(in: bytes), self)
        }
        guard let codestream = dataSet.codestream() else { throw Refusal(.unreadable, "it has no pixel data") }
        var format = cgdcm_format(columns: UInt32(columns), rows: UInt32(rows), bits_allocated: UInt32(bitsAllocated),
                                  bits_stored: UInt32(bitsStored), high_bit: UInt32(highBit), is_signed: isSigned ? 1 : 0)
        var image = cgdcm_image(), reason = [CChar](repeating: 0, count: 200)
        guard cgdcm_decode(uid.string, &format, codestream, codestream.count, &image, &reason, reason.count) != 0 else {
            throw Refusal(.unreadable, String(decoding: reason.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        defer { cgdcm_image_free(&image) }
        let bytes = Array(UnsafeBufferPointer(start: image.bytes, count: image.length))
        return (try words(in: bytes), PixelFormat(self, decoded: image.format))
    }

    private func words(in bytes: [UInt8]) throws(Refusal) -> [UInt16] {
        let pixels = columns * rows
        guard bytes.count >= pixels * bitsAllocated / 8 else { throw Refusal(.unreadable, "its pixel data are shorter than its rows and columns need") }
        if bitsAllocated == 8 { return bytes.prefix(pixels).map(UInt16.init) }
        return bytes.withUnsafeBytes { raw in
            [UInt16](unsafeUninitializedCapacity: pixels) { words, initialized in
                UnsafeMutableRawBufferPointer(words).copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[..<(pixels * 2)]))
                initialized = pixels
            }
        }
    }
}

/// Why a slice is no slice of a volume; its reason continues a sentence that names the object.
struct Refusal: Error {
    let code: ImagingError.Code
    let reason: String

    init(_ code: ImagingError.Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}
