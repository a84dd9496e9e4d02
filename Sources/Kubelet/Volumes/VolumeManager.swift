import API
import Synchronization

/// Where a volume is, ready to be mounted into containers.
struct MountedVolume: Sendable, Equatable {
  var path: String
  var readOnly = false
}

/// A volume that could not be set up, with the event's words.
struct VolumeSetupError: Error, Sendable, CustomStringConvertible {
  var volume: String
  var description: String
}

/// Sets up the volumes of pods below the kubelet's directory, keeps those made of API objects current, and takes
/// them down again. All state is on disk, so a restart finds everything.
final class VolumeManager: Sendable {
  private let root: String
  private let mounter: any Mounter
  private let objects: any VolumeObjects
  private let host: @Sendable () -> (hostIPs: [String], allocatable: [String: Quantity], labels: [String: String])

  init(
    root: String, mounter: any Mounter, objects: any VolumeObjects,
    host: @escaping @Sendable () -> (hostIPs: [String], allocatable: [String: Quantity], labels: [String: String])
  ) {
    self.root = root
    self.mounter = mounter
    self.objects = objects
    self.host = host
  }

  func podDirectory(_ uid: String) -> String { "\(root)/pods/\(uid)" }

  /// Sets up every volume that the pod's containers use, or brings it up to date.
  func mount(_ pod: Pod, podIPs: [String]) async throws -> [String: MountedVolume] {
    let directory = podDirectory(pod.metadata.uid)
    for name in ["", "/volumes", "/plugins", "/containers"] {
      try Files.makeDirectories(directory + name, mode: 0o750)
    }
    var out: [String: MountedVolume] = [:]
    let used = Set(pod.allContainers.flatMap { $0.volumeMounts.map(\.name) })
    for volume in pod.spec.volumes where used.contains(volume.name) {
      do {
        out[volume.name] = try await mount(volume, pod, podIPs)
      } catch let error as VolumeSetupError {
        throw error
      } catch {
        throw VolumeSetupError(
          volume: volume.name,
          description: "MountVolume.SetUp failed for volume \"\(volume.name)\" : \(describe(error))")
      }
    }
    return out
  }

  private func mount(_ volume: Volume, _ pod: Pod, _ podIPs: [String]) async throws -> MountedVolume {
    let uid = pod.metadata.uid
    let group = pod.spec.securityContext?.fsGroup
    if let source = volume.hostPath {
      try HostPaths.prepare(source)
      return MountedVolume(path: source.path)
    }
    if let source = volume.emptyDir {
      let path = volumePath(uid, "empty-dir", volume.name)
      let isNew = !Files.exists(path)
      try Files.makeDirectories(path, mode: 0o777)
      if source.medium == "Memory", !mounter.isMountPoint(path) {
        try mounter.mountTmpfs(path, sizeBytes: source.sizeLimit?.value)
      }
      if isNew {
        try Files.chmod(path, 0o777)
        if let group { try Ownership.apply(path, group: group, readOnly: false) }
      }
      return MountedVolume(path: path)
    }
    if let source = volume.persistentVolumeClaim { return try await claim(source.claimName, volume, pod) }
    if volume.ephemeral != nil {
      return try await claim("\(pod.metadata.name)-\(volume.name)", volume, pod, ownedByPod: true)
    }
    let context = host()
    let payload = VolumePayload(
      pod: pod, objects: objects, hostIPs: context.hostIPs, podIPs: podIPs, allocatable: context.allocatable)
    guard let files = try await payload.files(volume) else {
      throw ContainerConfigError(description: "no volume plugin matched")
    }
    let path = volumePath(uid, plugin(volume), volume.name)
    try Files.makeDirectories(path, mode: 0o755)
    // Secrets never touch a disk where memory can be mounted; where it cannot, the directory's own mode protects them.
    if volume.secret != nil || volume.projected != nil, !mounter.isMountPoint(path) {
      try? mounter.mountTmpfs(path, sizeBytes: nil)
    }
    try Files.chmod(path, 0o755)
    try AtomicWriter(directory: path).write(files, stamp: Self.stamp()) { new in
      if let group { try Ownership.apply(new, group: group, readOnly: true) }
    }
    return MountedVolume(path: path, readOnly: true)
  }

  private func claim(
    _ claimName: String, _ volume: Volume, _ pod: Pod, ownedByPod: Bool = false
  ) async throws -> MountedVolume {
    let namespace = pod.metadata.namespace
    guard let claim = try await objects.claim(namespace, claimName) else {
      throw VolumeSetupError(
        volume: volume.name,
        description:
          "error processing PVC \(namespace)/\(claimName): failed to fetch PVC from API server: persistentvolumeclaims \"\(claimName)\" not found"
      )
    }
    // The name alone does not make it the pod's: somebody may have had a claim of that name before.
    if ownedByPod, claim.metadata.controllerOwner?.uid != pod.metadata.uid {
      throw VolumeSetupError(
        volume: volume.name,
        description:
          "error processing PVC \(namespace)/\(claimName): PVC \(namespace)/\(claimName) was not created for pod "
          + "\(namespace)/\(pod.metadata.name) (pod is not owner)")
    }
    if claim.metadata.deletionTimestamp != nil, !(claim.metadata.finalizers.contains("kubernetes.io/pvc-protection")) {
      throw VolumeSetupError(
        volume: volume.name, description: "error processing PVC \(namespace)/\(claimName): PVC is being deleted")
    }
    guard claim.status.phase == "Bound", !claim.spec.volumeName.isEmpty else {
      throw VolumeSetupError(
        volume: volume.name, description: "error processing PVC \(namespace)/\(claimName): PVC is not bound")
    }
    guard let volumeObject = try await objects.persistentVolume(claim.spec.volumeName) else {
      throw VolumeSetupError(
        volume: volume.name,
        description:
          "failed to fetch PV \(claim.spec.volumeName) from API server: persistentvolumes \"\(claim.spec.volumeName)\" not found"
      )
    }
    let name = volumeObject.metadata.name
    guard volumeObject.spec.claimRef?.uid == claim.metadata.uid else {
      throw VolumeSetupError(
        volume: volume.name,
        description: "error processing PVC \(namespace)/\(claimName): PV \(name) is not bound to this claim")
    }
    if let required = volumeObject.spec.nodeAffinity?.required,
      !required.matches(labels: host().labels, nodeName: "")
    {
      throw VolumeSetupError(
        volume: volume.name,
        description: "MountVolume.NodeAffinity check failed for volume \"\(name)\" : no matching NodeSelectorTerms")
    }
    let path: String
    if let local = volumeObject.spec.local {
      guard try Files.kind(local.path) != nil else {
        throw VolumeSetupError(
          volume: volume.name,
          description:
            "MountVolume.NewMounter initialization failed for volume \"\(name)\" : path \"\(local.path)\" does not exist"
        )
      }
      path = local.path
    } else if let hostPath = volumeObject.spec.hostPath {
      try HostPaths.prepare(hostPath)
      path = hostPath.path
    } else {
      throw VolumeSetupError(
        volume: volume.name,
        description: "MountVolume.NewMounter initialization failed for volume \"\(name)\" : no volume plugin matched")
    }
    let readOnly = volume.persistentVolumeClaim?.readOnly ?? false
    if volumeObject.spec.local != nil, let group = pod.spec.securityContext?.fsGroup, !readOnly {
      let once = pod.spec.securityContext?.fsGroupChangePolicy == "OnRootMismatch"
      if !(once && Ownership.rootMatches(path, group: group)) {
        try Ownership.apply(path, group: group, readOnly: false)
      }
    }
    return MountedVolume(path: path, readOnly: readOnly)
  }

  /// Takes everything of a pod down. What it wrote into its volumes is gone after this.
  func unmount(uid: String) throws {
    let directory = podDirectory(uid)
    guard Files.exists(directory) else { return }
    for plugin in try Files.list("\(directory)/volumes") {
      for name in try Files.list("\(directory)/volumes/\(plugin)") {
        let path = "\(directory)/volumes/\(plugin)/\(name)"
        if mounter.isMountPoint(path) { try mounter.unmount(path) }
      }
    }
    try Files.removeTree(directory)
  }

  /// The pods that have anything on disk.
  func podsOnDisk() throws -> [String] { try Files.list("\(root)/pods") }

  private func volumePath(_ uid: String, _ plugin: String, _ name: String) -> String {
    "\(podDirectory(uid))/volumes/kubernetes.io~\(plugin)/\(name)"
  }

  private func plugin(_ volume: Volume) -> String {
    if volume.configMap != nil { return "configmap" }
    if volume.secret != nil { return "secret" }
    return volume.downwardAPI != nil ? "downward-api" : "projected"
  }

  private static func stamp() -> String {
    let now = MicroTime.now
    let text = now.description.filter { $0.isNumber || $0 == "-" || $0 == "T" || $0 == ":" }
    let readable = String(text.prefix(19).map { $0 == "-" || $0 == "T" || $0 == ":" ? "_" : $0 })
    return "\(readable).\(UInt32.random(in: 0..<4_000_000_000))"
  }
}

/// Finds the place inside a volume that a `subPath` names, without ever leaving the volume.
enum SubPaths {
  static func resolve(volume: MountedVolume, subPath: String) throws -> String {
    let parts = subPath.split(separator: "/", omittingEmptySubsequences: false)
    guard !subPath.hasPrefix("/"), !parts.contains("..") else {
      throw ContainerConfigError(description: "subPath must be a relative path inside the volume: \(subPath)")
    }
    let wanted = "\(volume.path)/\(subPath)"
    if Files.resolve(wanted) == nil {
      if volume.readOnly {
        throw ContainerConfigError(description: "subPath \(subPath) does not exist in a read-only volume")
      }
      // Links on the way must not lead the creation outside either.
      var deepest = wanted
      while Files.resolve(deepest) == nil { deepest = Files.directory(of: deepest) }
      try check(deepest, inside: volume.path, subPath)
      let mode = (try? Files.mode(volume.path)) ?? 0o755
      try Files.makeDirectories(wanted, mode: mode & 0o777)
      try Files.chmod(wanted, mode & 0o777)
    }
    try check(wanted, inside: volume.path, subPath)
    return Files.resolve(wanted) ?? wanted
  }

  private static func check(_ path: String, inside volume: String, _ subPath: String) throws {
    guard let real = Files.resolve(path), let base = Files.resolve(volume) else {
      throw ContainerConfigError(description: "failed to prepare subPath for volumeMount: \(subPath)")
    }
    guard real == base || real.hasPrefix(base == "/" ? "/" : base + "/") else {
      throw ContainerConfigError(description: "subpath \"\(real)\" not within volume path \"\(base)\"")
    }
  }
}
