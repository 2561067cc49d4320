import Foundation

/// What the command writes: results to standard output, complaints and progress to standard error.
enum Terminal {
    static func complain(_ line: String) {
        fflush(nil)  // what was printed before comes before
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    /// Rewrites one line on a terminal; on a pipe or in a log, says nothing.
    static func progress(_ line: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
    }

    /// Prints a value for a script.
    static func print(json value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        Swift.print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Prints rows below their headings, each column but the last as wide as its widest cell.
    static func print(_ headings: [String], _ rows: [[String]]) {
        let widths = headings.indices.map { column in ([headings] + rows).map { $0[column].count }.max() ?? 0 }
        for row in [headings] + rows {
            let cells = zip(row.dropLast(), widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            Swift.print((cells + row.suffix(1)).joined(separator: "  "))
        }
    }
}
