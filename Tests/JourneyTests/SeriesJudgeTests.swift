import Foundation
import NodeTesting
import Testing

/// dcm2niix and SimpleITK read what the node reads: a phantom in every orientation, and whatever else Tests/Judges/series_cases.py makes.
@Suite struct SeriesJudgeTests {
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: Places.python), "needs .local/venv"))
    func otherReadersMakeTheSameVolumes() throws {
        let script = Places.repository.appending(path: "Tests/Judges/series.py").path
        let result = try runTool(Places.python, [script, program("medlsam-node")])
        #expect(result.status == 0, "\(result.output)")
        #expect(result.output.contains(" cases, 0 faults"))
    }
}
