public import ArgumentParser

/// The command line: every part of Kubernetes is a subcommand of this one binary.
public struct Apus: AsyncParsableCommand {
  public static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "Kubernetes, whole, in one binary.",
    version: "\(Version.git) (Kubernetes v1.36)",
    subcommands: [
      ServerCommand.self, AgentCommand.self, TokenCommand.self, StatusCommand.self, StopCommand.self, ImageCommand.self,
      KubeconfigCommand.self, APIServerCommand.self, SchedulerCommand.self, ControllerManagerCommand.self,
      KubeletCommand.self, ProxyCommand.self, CloudControllerManagerCommand.self,
    ])

  public init() {}
}

/// Versions that the binary states of itself.
public enum Version {
  /// What nodes and the API server report; clients compare its Kubernetes part.
  public static let git = "v1.36.2+apus.0"
  /// Without what is Apus's own.
  static let plain = String(git.dropFirst().prefix { $0 != "+" })
}
