import Foundation
import NodeTesting
import Testing

@testable import DICOMNetwork

/// The negotiation, in Swift, fed with requests whose bytes are broken: what memory it must not touch, Swift's own checks tell.
@Suite struct NegotiationFuzzTests {
    /// Those of `make test`; FUZZ_NEGOTIATION_RUNS makes a long run of it.
    private static let runs = UInt64(ProcessInfo.processInfo.environment["FUZZ_NEGOTIATION_RUNS"] ?? "") ?? 20_000

    @Test func aSpoiltRequestIsRefusedOrEachOfItsContextsAnswered() throws {
        let corpus = Places.repository.appending(path: "Tests/Fuzz/network/corpus")
        let seeds = try FileManager.default.contentsOfDirectory(at: corpus, includingPropertiesForKeys: nil).sorted { $0.path < $1.path }.map { file in
            let bytes = [UInt8](try Data(contentsOf: file))
            return Array(bytes.prefix(6 + bytes[2..<6].reduce(0) { $0 << 8 | Int($1) }))
        }
        let negotiator = Negotiator(services: ["1.2.840.10008.1.20.1"], takesPrivateSOPClasses: true)
        var answered = 0, refused = 0
        for run in 0..<Self.runs {
            var random = Seeded(run), bytes = seeds.randomElement(using: &random)!
            // Behind the fixed fields, where items begin (PS3.8 9.3.2); the length is what the receiver has read.
            Spoiling.spoil(&bytes, from: 74, &random)
            guard let request = bytes.withUnsafeBytes({ AssociateRequest(pdu: $0) }) else { refused += 1; continue }
            let answer = negotiator.answer(request, isUserRecognized: true)
            #expect(answer.contexts.map(\.id) == request.contexts.map(\.id) && !answer.contexts.isEmpty && answer.contexts.count <= 128, "run \(run)")
            #expect(answer.contexts.allSatisfy { ($0.result == .acceptance) == ($0.transferSyntax != nil) }, "run \(run)")
            answered += 1
        }
        #expect(answered > Self.runs / 20 && refused > Self.runs / 20, "\(answered) answered, \(refused) refused")
    }
}
