import ArgumentParser
import PKI

/// Prints the administrator's kubeconfig, for another address where wanted.
struct KubeconfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kubeconfig", abstract: "Print the administrator's kubeconfig.")

  @OptionGroup var directories: Directories

  @Option(help: "The API server's address as the reader will reach it.")
  var server = "https://127.0.0.1:6443"

  func run() throws {
    print(try ClusterPKI(directory: directories.pki).kubeconfig(for: .admin, server: server).yaml, terminator: "")
  }
}
