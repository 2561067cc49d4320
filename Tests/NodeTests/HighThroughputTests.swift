import DICOMImaging
import Foundation
import NodeTesting
import Testing

@testable import Node

/// High-Throughput JPEG 2000, which DCMTK 3.6.7 does not know: sent by pynetdicom, encoded by OpenJPH.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: Places.python), "needs .local/venv"))
struct HighThroughputTests {
    @Test(arguments: ["1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"])
    func aSeriesThatIsReceivedIsKeptAsItCameAndRead(syntax: String) throws {
        let receiver = try Receiver(), folder = try Places.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let phantom = Phantom(slices: 12), paths = try phantom.write(into: folder)
        let script = Places.repository.appending(path: "Tests/Judges/send_htj2k.py").path
        let sent = try runTool(Places.python, [script, "\(receiver.port)", syntax] + paths)
        #expect(sent.status == 0, "\(sent.output)")

        let kept = try receiver.bench.folder.instanceFiles().sorted().map { receiver.bench.folder.root.appending(path: $0).path }
        #expect(try kept.map { try dataSetDigest(ofFile: $0) }.sorted() == paths.map { try dataSetDigest(ofFile: $0) }.sorted())
        let series = try receiver.bench.store.seriesInProgress()
        #expect(series.map(\.seriesInstanceUID) == [phantom.seriesInstanceUID.string])
        #expect(try CTSeries.read(paths: kept).volume.voxels == phantom.volume().voxels)
    }
}
