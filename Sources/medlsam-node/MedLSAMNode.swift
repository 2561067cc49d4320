import ArgumentParser
import Node

@main
struct MedLSAMNode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "medlsam-node")
}
