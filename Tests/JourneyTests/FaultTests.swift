import Foundation
import NodeTesting
import Testing

/// The short versions of `make soak` and `make fuzz`; docs/explanation/faults.md says what each does.
@Suite(.serialized) struct FaultTests {
    /// Runs a driver of this repository into a folder of its own; what it prints when it fails says what was lost.
    private func run(_ script: String, _ arguments: [String]) throws {
        let folder = try Places.temporaryFolder("faults")
        let result = try runTool(
            Places.python, [Places.repository.appending(path: "Tests/\(script)").path] + arguments + ["--output", folder.path],
            environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        #expect(result.status == 0, "\(result.output)")
        if result.status == 0 { try? FileManager.default.removeItem(at: folder) }
    }

    @Test(arguments: ["kills", "disk", "peers", "clocks"]) func harmDoneToTheNodeLosesNothing(_ fault: String) throws {
        try run("Faults/soak.py", [fault, "--rounds", "8", "--every", "40", "--program", program("medlsam-node")])
    }

    @Test func whatOnceBrokeAReaderBreaksItNoMore() throws {
        try run("Fuzz/fuzz.py", ["--runs", "2000", "--jobs", "1", "--programs", URL(fileURLWithPath: program("fuzz-series")).deletingLastPathComponent().path])
    }
}
