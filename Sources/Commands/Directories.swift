import ArgumentParser
import ContainerRuntime

/// Where a server keeps what outlives it, and what does not outlive the machine's next start.
struct Directories: ParsableArguments {
  @Option(help: "Directory for everything that outlives the server.")
  var dataDir = "/var/lib/apus"

  @Option(help: "Directory for sockets and what the next start of the machine may forget.")
  var stateDir = "/run/apus"

  var pki: String { "\(dataDir)/pki" }
  var store: String { "\(dataDir)/store" }
  var adminKubeconfig: String { "\(dataDir)/admin.kubeconfig" }
  /// Opens the cluster's keys in a store that several servers share.
  var serverToken: String { "\(dataDir)/server-token" }
  var kubelet: String { "\(dataDir)/kubelet" }
  var volumes: String { "\(dataDir)/volumes" }
  var pidFile: String { "\(dataDir)/server.pid" }

  var containerRuntime: ContainerRuntimeConfiguration {
    ContainerRuntimeConfiguration(dataDirectory: dataDir, stateDirectory: stateDir)
  }
}
