/// How captures and documents are drawn.
///
/// The window is what a slice is shown through (PS3.3 C.11.2.1.2); 40 and 400 are the usual soft-tissue window of a CT.
public struct CaptureOptions: Codable, Sendable, Hashable {
    /// Which slices the overlay series shows.
    public enum Slices: String, Codable, Sendable, CaseIterable {
        /// Those that a contour runs on.
        case contoured
        /// Every slice of the source.
        case all
    }

    /// Hounsfield units shown as middle grey.
    public var windowCenter: Double
    /// Hounsfield units from black to white; above 0.
    public var windowWidth: Double
    /// Pixels that the longer side of a slice has at least in the overlay series: smaller slices are magnified by a whole number. 64 to 2048.
    public var size: Int
    public var slices: Slices

    public init(windowCenter: Double = 40, windowWidth: Double = 400, size: Int = 512, slices: Slices = .contoured) {
        self.windowCenter = windowCenter
        self.windowWidth = windowWidth
        self.size = size
        self.slices = slices
    }
}
