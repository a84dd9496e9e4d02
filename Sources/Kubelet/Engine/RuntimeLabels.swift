import API
import CRI

/// The labels and annotations by which a kubelet finds its containers again after a restart.
enum RuntimeKey {
  static let podName = "io.kubernetes.pod.name"
  static let podNamespace = "io.kubernetes.pod.namespace"
  static let podUID = "io.kubernetes.pod.uid"
  static let containerName = "io.kubernetes.container.name"
  static let hash = "io.kubernetes.container.hash"
  static let restartCount = "io.kubernetes.container.restartCount"
  static let terminationMessagePath = "io.kubernetes.container.terminationMessagePath"
  static let terminationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
  static let ports = "io.kubernetes.container.ports"
  static let preStop = "io.kubernetes.container.preStopHandler"
  static let gracePeriod = "io.kubernetes.pod.terminationGracePeriod"
  static let deletionGracePeriod = "io.kubernetes.pod.deletionGracePeriod"
  static let configSource = "kubernetes.io/config.source"
  static let configHash = "kubernetes.io/config.hash"
  static let configSeen = "kubernetes.io/config.seen"
  static let configMirror = "kubernetes.io/config.mirror"
}

/// The labels of a sandbox: the pod's own, and who it belongs to.
func sandboxLabels(_ pod: Pod) -> [String: String] {
  var labels = pod.metadata.labels
  labels[RuntimeKey.podName] = pod.metadata.name
  labels[RuntimeKey.podNamespace] = pod.metadata.namespace
  labels[RuntimeKey.podUID] = pod.metadata.uid
  return labels
}

/// The labels of a container.
func containerLabels(_ pod: Pod, _ container: Container) -> [String: String] {
  [
    RuntimeKey.podName: pod.metadata.name, RuntimeKey.podNamespace: pod.metadata.namespace,
    RuntimeKey.podUID: pod.metadata.uid, RuntimeKey.containerName: container.name,
  ]
}

/// The annotations of a container: what must be known about it even when its pod is gone from the API.
func containerAnnotations(_ pod: Pod, _ container: Container, restartCount: Int) -> [String: String] {
  var out = [
    RuntimeKey.hash: String(containerHash(container), radix: 16),
    RuntimeKey.restartCount: String(restartCount),
    RuntimeKey.terminationMessagePath: container.terminationMessagePath,
    RuntimeKey.terminationMessagePolicy: container.terminationMessagePolicy,
  ]
  if let grace = pod.metadata.deletionGracePeriodSeconds { out[RuntimeKey.deletionGracePeriod] = String(grace) }
  if let grace = pod.spec.terminationGracePeriodSeconds { out[RuntimeKey.gracePeriod] = String(grace) }
  if let hook = container.lifecycle?.preStop {
    out[RuntimeKey.preStop] = String(decoding: hook.encoded(), as: UTF8.self)
  }
  if !container.ports.isEmpty {
    out[RuntimeKey.ports] = String(decoding: container.ports.encoded(), as: UTF8.self)
  }
  return out
}

/// The identity of a container's definition: a change of it restarts the container. As upstream, only the name and
/// the image count, so that a new field of the API restarts nothing.
func containerHash(_ container: Container) -> UInt64 {
  var writer = JSONWriter()
  writer.beginObject()
  writer.key("image")
  writer.string(container.image)
  writer.key("name")
  writer.string(container.name)
  writer.endObject()
  return UInt64(fnv1a(writer.bytes))
}

/// FNV-1a, 32 bits.
func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt32 {
  var hash: UInt32 = 2_166_136_261
  for byte in bytes { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
  return hash
}

extension Pod {
  /// How log lines and messages name a pod: `name_namespace(uid)`.
  var display: String { "\(metadata.name)_\(metadata.namespace)(\(metadata.uid))" }

  /// Whether the pod came from a manifest on this host rather than from the API.
  var isStatic: Bool {
    guard let source = metadata.annotations[RuntimeKey.configSource] else { return false }
    return source != "api"
  }

  /// Every container that can run, with its place in the spec.
  var allContainers: [Container] {
    spec.initContainers + spec.containers + spec.ephemeralContainers.map { Container($0) }
  }
}

extension Container {
  /// What an ephemeral container has in common with others.
  init(_ other: EphemeralContainer) {
    self.init()
    name = other.name
    image = other.image
    imagePullPolicy = other.imagePullPolicy
    command = other.command
    args = other.args
    env = other.env
    envFrom = other.envFrom
    workingDir = other.workingDir
    volumeMounts = other.volumeMounts
    securityContext = other.securityContext
    stdin = other.stdin
    stdinOnce = other.stdinOnce
    tty = other.tty
    terminationMessagePath = other.terminationMessagePath
    terminationMessagePolicy = other.terminationMessagePolicy
  }
}
