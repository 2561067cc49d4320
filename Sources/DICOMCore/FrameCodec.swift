import CDCMTK

/// The decoders of one greyscale frame that lie beside DCMTK: its own of JPEG, and one of RLE.
///
/// Each fills `words`, columns x rows samples; the caller has held the codestream's own header against that. Errors are of code
/// `invalidValue`, and their message continues a sentence about the object.
public enum FrameCodec {
    /// JPEG (ITU-T T.81) of any process; `precision` is that of the frame header, 16 bits at most.
    public static func decodeJPEG(_ codestream: [UInt8], precision: Int, into words: UnsafeMutableBufferPointer<UInt16>) throws(DICOMError) {
        var error = cdcmtk_error()
        guard cdcmtk_decode_jpeg(codestream, codestream.count, UInt32(precision), words.baseAddress, words.count, &error) != 0 else {
            throw DICOMError(error)
        }
    }

    /// RLE (PS3.5 annex G) of samples of one or two bytes.
    public static func decodeRLE(_ codestream: [UInt8], bytesPerSample: Int, into words: UnsafeMutableBufferPointer<UInt16>) throws(DICOMError) {
        var error = cdcmtk_error()
        guard cdcmtk_decode_rle(codestream, codestream.count, UInt32(bytesPerSample), words.baseAddress, words.count, &error) != 0 else {
            throw DICOMError(error)
        }
    }
}
