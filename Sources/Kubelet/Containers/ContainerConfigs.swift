import API
import CRI

/// Everything that one container's settings are made of.
struct ContainerConfigInput: Sendable {
  var pod: Pod
  var container: Container
  var restartCount: Int
  var image: CRIImage
  var volumes: [String: MountedVolume]
  var environment: [(String, String)]
  /// The pod's `/etc/hosts`; nil when it is not managed.
  var hostsFile: String?
  /// A fresh file that becomes the termination message; nil for none.
  var terminationLog: String?
  /// For an ephemeral container: whose processes it shall see.
  var targetID: String?
  var memoryCapacity: Int64
  var configuration: KubeletConfiguration
}

/// Settings of a container, as CRI wants them.
enum ContainerConfigs {
  static func make(_ input: ContainerConfigInput) throws -> CRIContainerConfig {
    let pod = input.pod
    let container = input.container
    let user = (
      uid: input.image.hasUid ? input.image.uid.value : nil as Int64?,
      name: input.image.hasUid ? "" : input.image.username
    )
    try SecurityContexts.verifyNonRoot(pod, container, imageUser: user)
    var out = CRIContainerConfig()
    out.metadata.name = container.name
    out.metadata.attempt = UInt32(input.restartCount)
    out.image.image = input.image.id
    out.image.userSpecifiedImage = container.image
    let values = Dictionary(input.environment) { $1 }
    out.command = container.command.map { expand($0) { values[$0] } }
    out.args = container.args.map { expand($0) { values[$0] } }
    out.workingDir = container.workingDir
    out.envs = input.environment.map { name, value in
      var pair = CRIKeyValue()
      pair.key = name
      pair.value = value
      return pair
    }
    out.mounts = try mounts(input, values)
    out.labels = containerLabels(pod, container)
    out.annotations = containerAnnotations(pod, container, restartCount: input.restartCount)
    out.logPath = "\(container.name)/\(input.restartCount).log"
    out.stdin = container.stdin
    out.stdinOnce = container.stdinOnce
    out.tty = container.tty
    out.linux.resources = LinuxResources.make(
      pod: pod, container: container, memoryCapacity: input.memoryCapacity, cfsQuota: input.configuration.cpuCFSQuota,
      period: input.configuration.cpuCFSQuotaPeriodMicroseconds)
    out.linux.securityContext = SecurityContexts.container(
      pod, container, imageUser: user, seccompDefault: input.configuration.seccompDefault, target: input.targetID)
    if let signal = container.lifecycle?.stopSignal { out.stopSignal = stopSignal(signal) }
    return out
  }

  private static func mounts(_ input: ContainerConfigInput, _ values: [String: String]) throws -> [CRIMount] {
    var out: [CRIMount] = []
    for mount in input.container.volumeMounts {
      guard let volume = input.volumes[mount.name] else {
        throw ContainerConfigError(
          description: "cannot find volume \"\(mount.name)\" to mount into container \"\(input.container.name)\"")
      }
      var read = CRIMount()
      read.hostPath = volume.path
      var subPath = mount.subPath
      if !mount.subPathExpr.isEmpty {
        subPath = expand(mount.subPathExpr) { values[$0] }
        if subPath.contains("$(") {
          throw ContainerConfigError(description: "missing value for variable in subPathExpr \"\(mount.subPathExpr)\"")
        }
      }
      if !subPath.isEmpty { read.hostPath = try SubPaths.resolve(volume: volume, subPath: subPath) }
      // A path relative to nothing is relative to the root, as upstream makes it.
      read.containerPath = mount.mountPath.hasPrefix("/") ? mount.mountPath : "/" + mount.mountPath
      read.readonly = mount.readOnly || volume.readOnly
      switch mount.mountPropagation {
      case "Bidirectional": read.propagation = .propagationBidirectional
      case "HostToContainer": read.propagation = .propagationHostToContainer
      default: read.propagation = .propagationPrivate
      }
      if mount.readOnly, mount.recursiveReadOnly == "Enabled" { read.recursiveReadOnly = true }
      out.append(read)
    }
    if let hosts = input.hostsFile, !out.contains(where: { $0.containerPath == "/etc/hosts" }) {
      var mount = CRIMount()
      mount.hostPath = hosts
      mount.containerPath = "/etc/hosts"
      mount.readonly = input.container.securityContext?.readOnlyRootFilesystem == true
      out.append(mount)
    }
    if let log = input.terminationLog, !input.container.terminationMessagePath.isEmpty {
      var mount = CRIMount()
      mount.hostPath = log
      mount.containerPath = input.container.terminationMessagePath
      out.append(mount)
    }
    return out
  }

  private static func stopSignal(_ name: String) -> CRISignal {
    let text = name.lowercased().replacing("+", with: "plus").replacing("-", with: "minus")
    return CRISignal.allCases.first { "\($0)" == text } ?? .runtimeDefault
  }
}
