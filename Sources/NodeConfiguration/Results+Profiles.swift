import DICOMImaging

extension Configuration.Results {
    /// What readers of a kind want; docs/reference/profiles.md gives the source of each choice.
    public enum Profile: String, Sendable, CaseIterable { case generic, ohif, weasis, slicer, eclipse, raystation, monaco, pinnacle }

    /// TG-263 keeps structure names to 16 characters, since many planning systems take no more.
    static let planningNameLength = 16
    /// Some 27 kB of Contour Data: well under what archives hand out apart from the rest of an object.
    static let webContourPoints = 1000

    public init(_ profile: Profile) {
        self.init()
        switch profile {
        case .generic, .weasis: break
        case .ohif: structureSet.maximumPoints = Self.webContourPoints
        case .slicer: objects = [.segmentation, .measurements]
        case .eclipse, .raystation: planning()
        case .monaco, .pinnacle:
            planning()
            structureSet.implicitVR = true
        }
    }

    /// What all planning systems have in common: they draw from structure sets alone.
    private mutating func planning() {
        objects = [.structureSet]
        structureSet.nameLength = Self.planningNameLength
        structureSet.emptyROIs = false
    }
}
