/// Where the engine keeps its things and what it is given.
public struct ContainerRuntimeConfiguration: Sendable {
  /// How the kubelet and the runtime divide the control groups. `automatic` takes systemd where it manages a v2 tree.
  public enum CgroupDriver: String, Sendable {
    case cgroupfs, systemd, automatic
  }

  /// Images, snapshots, and everything else that survives a reboot.
  public var root: String
  /// Sockets, mounts and what else a reboot clears.
  public var state: String
  /// Archives that are imported at the start.
  public var imagesDirectory: String
  /// Where CNI configuration is read from. A configuration that is not ours takes precedence over ours.
  public var cniConfigurationDirectory: String
  /// The log of containerd.
  public var logFile: String
  /// The image of the sandbox container. Another one than the default is pulled, not made.
  public var sandboxImage = SandboxImage.name
  /// The bridge that pods are plugged into.
  public var bridgeName = "cni0"
  /// MTU of the pods' links; 0 leaves it to the kernel.
  public var mtu = 0
  /// Chosen by default so that it works everywhere; see `Machine`.
  public var cgroupDriver = CgroupDriver.cgroupfs
  /// Paths given by the user instead of those found.
  public var containerdPath: String?
  public var runtimePath: String?
  public var cniPluginDirectory: String?
  /// containerd's log level.
  public var logLevel = "info"

  /// The usual layout below one directory for data and one for what does not survive a reboot.
  public init(dataDirectory: String = "/var/lib/apus", stateDirectory: String = "/run/apus") {
    root = "\(dataDirectory)/containerd"
    state = "\(stateDirectory)/containerd"
    imagesDirectory = "\(dataDirectory)/images"
    cniConfigurationDirectory = "\(dataDirectory)/cni/net.d"
    logFile = "\(dataDirectory)/containerd/containerd.log"
  }

  /// CRI's socket.
  public var socketPath: String { "\(state)/containerd.sock" }
  var configurationFile: String { "\(root)/config.toml" }
  var pidFile: String { "\(state)/containerd.pid" }
  var registryConfigurationDirectory: String { "\(root)/certs.d" }
}

/// What the kubelet needs to know about the runtime.
public struct NodeRuntime: Sendable, Hashable {
  /// CRI's socket.
  public var socketPath: String
  /// "containerd".
  public var name: String
  /// Its version.
  public var version: String
  /// Never `automatic`.
  public var cgroupDriver: ContainerRuntimeConfiguration.CgroupDriver
  /// The handlers that runtime classes may name.
  public var handlers: [String]
  /// What the machine can do.
  public var machine: Machine

  /// The form of a node's `status.nodeInfo.containerRuntimeVersion`.
  public var nodeInfoVersion: String { "\(name)://\(version)" }
}
