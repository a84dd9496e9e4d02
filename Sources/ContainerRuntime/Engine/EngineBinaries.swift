/// The programs the engine consists of, found where distributions put them.
public struct EngineBinaries: Sendable, Hashable {
  /// containerd itself.
  public var containerd: String
  /// The OCI runtime: runc, or crun where runc is missing.
  public var runtime: String
  /// The directory of the CNI plugins; nil when they are not installed.
  public var cniPlugins: String?
  /// The portmap plugin is there, and iptables, which it works through.
  public var servesHostPorts: Bool

  /// The runtime's name as a runtime class handler.
  public var runtimeName: String { runtime.hasSuffix("crun") ? "crun" : "runc" }

  /// Looks for the programs; nil parts of the configuration are searched for, others taken as they are.
  public static func find(
    containerd: String? = nil, runtime: String? = nil, cniPlugins: String? = nil, path: [String] = searchPath
  ) throws -> EngineBinaries {
    func search(_ name: String) -> String? {
      path.lazy.map { "\($0)/\(name)" }.first(where: FileSystem.isExecutable)
    }
    guard let engine = containerd ?? search("containerd") else {
      throw EngineError(
        "containerd is not installed (looked in \(path.joined(separator: ", "))); on Debian: apt install containerd")
    }
    guard let oci = runtime ?? search("runc") ?? search("crun") else {
      throw EngineError("neither runc nor crun is installed; on Debian: apt install runc")
    }
    let pluginDirectories = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/usr/local/lib/cni"]
    let plugins =
      cniPlugins
      ?? pluginDirectories.first { directory in
        ["bridge", "host-local", "loopback"].allSatisfy { FileSystem.isExecutable("\(directory)/\($0)") }
      }
    return EngineBinaries(
      containerd: engine, runtime: oci, cniPlugins: plugins,
      servesHostPorts: search("iptables") != nil && plugins.map { FileSystem.isExecutable("\($0)/portmap") } ?? false)
  }

  /// PATH, and the places that PATH of an unprivileged shell lacks.
  public static var searchPath: [String] {
    let standard = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    let variable = Subprocess.currentEnvironment().first { $0.hasPrefix("PATH=") } ?? "PATH="
    let own = variable.dropFirst(5).split(separator: ":").map(String.init).filter { $0.hasPrefix("/") }
    return own + standard.filter { !own.contains($0) }
  }
}

/// Why the engine cannot be run.
public struct EngineError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
