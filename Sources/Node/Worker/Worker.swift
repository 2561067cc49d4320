import Foundation

/// The body of the hidden command `worker`: one job, asked for on standard input, answered on standard output.
public enum Worker {
    /// Runs the job and ends the process. It also ends, at once, when standard input closes: nobody waits for it then.
    public static func run() -> Never {
        fatalError("being built")
    }
}
