import Crypto
import DICOMImaging
import Foundation
import MedLSAM

/// The version of this software, as it stands in the objects it makes.
public let softwareVersion = "0.1.0"

/// A CT series in files becomes a SEG and an RTSTRUCT in files: the pipeline of the worker, of `segment` and of tests.
public struct ContouringJob: Sendable {
    /// What is going on, for a progress line: `reading`, MedLSAM's stages, `writing`.
    public typealias Progress = @Sendable (_ stage: String, _ fraction: Double) -> Void

    let engine: any ContouringEngine
    /// What tells this installation from others, such as its AE title.
    let deviceSerialNumber: String
    let contentDate: Date

    public init(engine: any ContouringEngine, deviceSerialNumber: String, contentDate: Date = Date()) {
        self.engine = engine
        self.deviceSerialNumber = deviceSerialNumber
        self.contentDate = contentDate
    }

    /// Contours the series in `paths` and writes `SEG.dcm` and `RTSTRUCT.dcm` into the folder `output`, `overlay.png` too where
    /// asked for; blocks for minutes.
    ///
    /// No object is written when no structure was segmented. Throws ImagingError for what cannot be a volume.
    public func run(paths: [String], output: URL, overlay: Bool = false, progress: Progress = { _, _ in }) throws -> JobReport {
        fatalError("being built")
    }
}
