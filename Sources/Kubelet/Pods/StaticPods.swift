import API
import Logging

/// Reads pods from manifests in a directory.
struct StaticPods: Sendable {
  let directory: String
  let nodeName: String

  /// The pods of all files that hold one. Broken files are reported, and leave their pod out.
  func read(logger: Logger) -> [Pod] {
    let names = ((try? Files.list(directory)) ?? []).filter { !$0.hasPrefix(".") }
    return names.compactMap { name in
      let path = "\(directory)/\(name)"
      guard (try? Files.kind(path)) == .file else { return nil }
      do {
        return try pod(try Files.read(path))
      } catch {
        logger.error("cannot read a static pod", metadata: ["file": "\(path)", "error": "\(error)"])
        return nil
      }
    }
  }

  /// A manifest as the pod it becomes on this node.
  func pod(_ bytes: [UInt8]) throws -> Pod {
    var pod = try Pod.decode(try ManifestText.json(bytes))
    let hash = hexHash(bytes)
    if pod.metadata.uid.isEmpty { pod.metadata.uid = hash }
    if pod.metadata.namespace.isEmpty { pod.metadata.namespace = "default" }
    // One name for each node, so that mirrors of the same file do not collide.
    pod.metadata.name = "\(pod.metadata.name)-\(nodeName.lowercased())"
    pod.metadata.annotations[RuntimeKey.configHash] = hash
    pod.metadata.annotations[RuntimeKey.configSource] = "file"
    pod.spec.nodeName = nodeName
    // Static pods stay whatever happens to the node.
    if !pod.spec.tolerations.contains(where: { $0.operator == "Exists" && $0.key.isEmpty && $0.effect == "NoExecute" })
    {
      var toleration = Toleration()
      toleration.operator = "Exists"
      toleration.effect = "NoExecute"
      pod.spec.tolerations.append(toleration)
    }
    PodDefaults.apply(&pod)
    return pod
  }

  /// 32 hex digits, like upstream's MD5: four FNV passes over the content with different beginnings.
  private func hexHash(_ bytes: [UInt8]) -> String {
    (0..<4).map { round -> String in
      let value = fnv1a(Array("\(round)\(nodeName)".utf8) + bytes)
      let text = String(value, radix: 16)
      return String(repeating: "0", count: 8 - text.count) + text
    }.joined()
  }
}

/// The API server's defaults that a kubelet relies on, for pods that never passed it.
enum PodDefaults {
  static func apply(_ pod: inout Pod) {
    if pod.spec.restartPolicy.isEmpty { pod.spec.restartPolicy = "Always" }
    if pod.spec.dnsPolicy.isEmpty { pod.spec.dnsPolicy = "ClusterFirst" }
    if pod.spec.terminationGracePeriodSeconds == nil { pod.spec.terminationGracePeriodSeconds = 30 }
    if pod.spec.securityContext == nil { pod.spec.securityContext = PodSecurityContext() }
    if pod.spec.schedulerName.isEmpty { pod.spec.schedulerName = "default-scheduler" }
    if pod.spec.enableServiceLinks == nil { pod.spec.enableServiceLinks = true }
    for index in pod.spec.containers.indices { apply(&pod.spec.containers[index]) }
    for index in pod.spec.initContainers.indices { apply(&pod.spec.initContainers[index]) }
    if pod.status.phase.isEmpty { pod.status.phase = "Pending" }
  }

  private static func apply(_ container: inout Container) {
    if container.terminationMessagePath.isEmpty { container.terminationMessagePath = "/dev/termination-log" }
    if container.terminationMessagePolicy.isEmpty { container.terminationMessagePolicy = "File" }
    if container.imagePullPolicy.isEmpty { container.imagePullPolicy = ImageNames.defaultPolicy(container.image) }
    for index in container.ports.indices where container.ports[index].protocol.isEmpty {
      container.ports[index].protocol = "TCP"
    }
  }
}
