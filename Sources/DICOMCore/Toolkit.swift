import CDCMTK

/// The DICOM toolkit beneath this module.
public enum Toolkit {
    /// Its version, for instance `3.6.7`.
    public static var version: String { String(cString: cdcmtk_version()) }

    /// Throws `dictionaryMissing` when the toolkit did not find its data dictionary, without which no element has a VR.
    public static func checkDictionary() throws(DICOMError) {
        guard cdcmtk_dictionary_loaded() != 0 else {
            throw DICOMError(.dictionaryMissing, "DCMTK's data dictionary dicom.dic was not found: install the package libdcmtk17, or point DCMDICTPATH at it.")
        }
    }

    /// Lets threads that begin later share two heaps: one for every few of many associations keeps some 20 MB for nothing, since little is
    /// allocated while bytes arrive.
    public static func shareHeaps() { cdcmtk_share_heaps() }
}

/// What files written by this node say about their writer (PS3.10 7.1).
public enum Implementation {
    /// The implementation class UID of medlsam-node.
    public static let classUID = UID(constant: "2.25.75402873250820943046713723176958522457")
    /// The implementation version name, 16 characters at most.
    public static let versionName = "MEDLSAM-NODE_0"
}
