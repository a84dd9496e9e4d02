import API

/// The cgroups of quality-of-service classes and pods, below which the runtime makes those of containers.
///
/// Whatever the kernel refuses here is passed over: the runtime makes what is missing, and a pod without its
/// own shares still runs.
struct PodCgroups: Sendable {
  /// For example `/kubepods`; nil leaves everything to the runtime.
  let root: String?
  /// Where the hierarchies are mounted.
  var mount = "/sys/fs/cgroup"

  /// The cgroup that a pod's containers go below.
  func parent(_ pod: Pod) -> String? {
    guard let root else { return nil }
    switch qosClass(of: pod) {
    case "Guaranteed": return "\(root)/pod\(pod.metadata.uid)"
    case "BestEffort": return "\(root)/besteffort/pod\(pod.metadata.uid)"
    default: return "\(root)/burstable/pod\(pod.metadata.uid)"
    }
  }

  /// Whether the unified hierarchy has the controllers.
  private var isUnified: Bool { Files.exists("\(mount)/cgroup.controllers") }

  /// Makes a pod's cgroup and sets its share of the processor and its limit of memory.
  func prepare(_ pod: Pod) {
    guard let parent = parent(pod) else { return }
    let requests = NodeAdmission.requests(pod)
    let shares = LinuxResources.shares(milli: requests["cpu"]?.milliValue ?? 0)
    let limits = pod.spec.containers.map { $0.resources.limits["memory"]?.value }
    let memory = limits.contains { $0 == nil } ? nil : limits.compactMap { $0 }.reduce(0, +)
    if isUnified {
      enableControllers(parent)
      let directory = "\(mount)\(parent)"
      try? Files.makeDirectories(directory)
      set("\(directory)/cpu.weight", 1 + (shares - 2) * 9999 / 262142)
      if let memory, memory > 0 { set("\(directory)/memory.max", memory) }
      return
    }
    for controller in ["cpu", "memory"] where Files.exists("\(mount)/\(controller)") {
      let directory = "\(mount)/\(controller)\(parent)"
      try? Files.makeDirectories(directory)
      if controller == "cpu" { set("\(directory)/cpu.shares", shares) }
      if controller == "memory", let memory, memory > 0 { set("\(directory)/memory.limit_in_bytes", memory) }
    }
  }

  /// A cgroup's children have only the controllers that it passes on.
  private func enableControllers(_ path: String) {
    var directory = mount
    for part in path.split(separator: "/").dropLast() {
      try? Files.makeDirectories("\(directory)/\(part)")
      try? Files.write("\(directory)/cgroup.subtree_control", Array("+cpu +memory +pids".utf8))
      directory += "/\(part)"
    }
    try? Files.write("\(directory)/cgroup.subtree_control", Array("+cpu +memory +pids".utf8))
  }

  /// Removes a pod's cgroups once they are empty.
  func remove(uid: String) {
    guard let root else { return }
    let hierarchies = isUnified ? [mount] : ((try? Files.list(mount)) ?? []).map { "\(mount)/\($0)" }
    for hierarchy in hierarchies {
      for level in ["", "/besteffort", "/burstable"] {
        let directory = "\(hierarchy)\(root)\(level)/pod\(uid)"
        guard Files.exists(directory) else { continue }
        for child in (try? Files.list(directory)) ?? [] { Files.removeDirectory("\(directory)/\(child)") }
        Files.removeDirectory(directory)
      }
    }
  }

  private func set(_ path: String, _ value: Int64) { try? Files.write(path, Array(String(value).utf8)) }
}
