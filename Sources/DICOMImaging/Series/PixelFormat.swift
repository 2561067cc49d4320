import DICOMCore

/// How one frame's samples are stored: the part of the Image Pixel module (PS3.3 C.7.6.3) that a CT slice may vary in.
struct PixelFormat: Hashable, Sendable {
    let columns, rows: Int
    let bitsAllocated, bitsStored, highBit: Int
    let isSigned: Bool

    /// The largest matrix accepted: four times that of any CT scanner, and a bound on what is allocated.
    static let maximumMatrix = 4096

    /// Throws why the slice cannot be one; the text continues a sentence about it. `interpretations` are the Photometric
    /// Interpretations that mean values and not colours.
    init(_ dataSet: DataSet, interpretations: [String] = ["MONOCHROME2", "MONOCHROME1"]) throws(Refusal) {
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
        // MONOCHROME1 is shown inverted and means the same: the rescale applies to stored values (PS3.3 C.7.6.3.1.2).
        guard try number(.samplesPerPixel, "Samples per Pixel") == 1, let found = dataSet.string(.photometricInterpretation), interpretations.contains(found) else {
            throw Refusal(.unsupported, "its pixels are neither \(interpretations[0]) nor \(interpretations[1])")
        }
        guard [8, 16].contains(bitsAllocated) else { throw Refusal(.unsupported, "Bits Allocated is \(bitsAllocated) (8 and 16 are read)") }
        guard (1...bitsAllocated).contains(bitsStored), (bitsStored - 1..<bitsAllocated).contains(highBit) else {
            throw Refusal(.unreadable, "Bits Stored \(bitsStored) and High Bit \(highBit) do not fit Bits Allocated \(bitsAllocated)")
        }
    }

    /// The same frame with its samples in other bits.
    private init(_ other: PixelFormat, bitsStored: Int, highBit: Int) {
        (columns, rows, bitsAllocated, isSigned) = (other.columns, other.rows, other.bitsAllocated, other.isSigned)
        (self.bitsStored, self.highBit) = (bitsStored, highBit)
    }

    /// Number of pixels of a frame.
    var count: Int { columns * rows }

    /// Bytes of a frame that is not compressed.
    var frameLength: Int { count * bitsAllocated / 8 }

    /// The value of a stored word: the bits up to High Bit, sign extended (PS3.5 8.1.1).
    func value(_ word: UInt16) -> Int {
        let bits = Int(word) >> (highBit + 1 - bitsStored) & (1 << bitsStored - 1)
        return isSigned && bits >> (bitsStored - 1) == 1 ? bits - 1 << bitsStored : bits
    }

    /// Where a codestream's samples lie in the decoded words (PS3.5 8.2).
    ///
    /// Codestreams of as many bits as High Bit needs hold whole cells; those of fewer hold samples that begin at bit 0, and then the
    /// codestream's precision is the truth. What signs mean is refused only where it matters: some value must be negative in one
    /// reading and not in the other.
    func decoded(_ codestream: Codestream, _ words: UnsafeMutableBufferPointer<UInt16>) throws(Refusal) -> PixelFormat {
        let precision = codestream.precision, topBit = UInt16(1) << (precision - 1)
        let isNegative = words.contains { $0 & topBit != 0 }
        if codestream.isSigned == true, !isSigned, isNegative {
            throw Refusal(.unreadable, "its codestream holds negative values, which Pixel Representation rules out")
        }
        if precision > highBit { return self }
        guard precision <= bitsStored else {
            throw Refusal(.unreadable, "its codestream of \(precision) bits fits neither Bits Stored \(bitsStored) nor High Bit \(highBit)")
        }
        if isSigned, precision < bitsStored, codestream.isSigned != true, isNegative {
            throw Refusal(.unreadable, "its codestream has \(precision) of \(bitsStored) bits, so that the signs of its values are unknown")
        }
        return PixelFormat(self, bitsStored: precision, highBit: precision - 1)
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
