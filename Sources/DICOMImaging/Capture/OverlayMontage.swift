import ImagingGeometry

/// A picture of a result for people: CT slices with the structures' outlines.
public enum OverlayMontage {
    /// Draws twelve axial, two coronal and two sagittal slices through the structures as a PNG file's bytes.
    public static func png(volume: Volume, segments: [ResultSegment]) -> [UInt8] { [] }
}
