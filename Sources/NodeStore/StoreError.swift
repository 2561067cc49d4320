/// Why the store could not do what was asked; names objects by UID or number, never a patient.
public struct StoreError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable { case notOpened, damaged, newer, notFound, notAllowed, notDurable, notRecorded }
    public let code: Code
    public let message: String
    public var description: String { message }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
