import Foundation
import NodeConfiguration

/// Looks whether everything a node needs is there.
public enum Doctor {
    /// What was looked at, how it is, and what to do about it.
    public struct Check: Sendable, Codable {
        public enum State: String, Sendable, Codable { case ok, warning, failure }
        public let name: String
        public let state: State
        public let message: String
        /// Nil when all is well.
        public let whatToDo: String?
    }

    /// Checks data dictionary, models by digest, runtime, template set, data folder, disk and destinations; blocks for no longer
    /// than the destinations' timeouts.
    public static func run(_ configuration: Configuration) async -> [Check] {
        fatalError("being built")
    }
}
