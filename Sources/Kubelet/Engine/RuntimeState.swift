import API
import CRI

/// One container as the runtime knows it.
struct RuntimeContainer: Sendable, Equatable {
  enum State: Sendable, Equatable { case created, running, exited, unknown }

  var id = ""
  var sandboxID = ""
  var name = ""
  var state = State.unknown
  /// Nanoseconds since 1970; 0 when it did not happen.
  var createdAt: Int64 = 0
  var startedAt: Int64 = 0
  var finishedAt: Int64 = 0
  var exitCode: Int32 = 0
  var reason = ""
  var message = ""
  var image = ""
  var imageRef = ""
  /// Nil when the container carries no hash.
  var hash: UInt64?
  var restartCount = 0
  var logPath = ""
  var terminationMessagePath = ""
  var terminationMessagePolicy = ""
  /// The pod's grace period when the container was made.
  var gracePeriod: Int64?
  var preStop: LifecycleHandler?
  var user: ContainerUser?
  /// Container path to host path.
  var mounts: [String: String] = [:]

  init() {}

  init(_ status: CRIContainerStatus, sandboxID: String) {
    id = status.id
    self.sandboxID = sandboxID
    name = status.labels[RuntimeKey.containerName] ?? status.metadata.name
    state = State(status.state)
    createdAt = status.createdAt
    startedAt = status.startedAt
    finishedAt = status.finishedAt
    exitCode = status.exitCode
    reason = status.reason
    message = status.message
    image = status.image.image
    imageRef = status.imageRef
    logPath = status.logPath
    hash = status.annotations[RuntimeKey.hash].flatMap { UInt64($0, radix: 16) }
    restartCount = status.annotations[RuntimeKey.restartCount].flatMap { Int($0) } ?? Int(status.metadata.attempt)
    terminationMessagePath = status.annotations[RuntimeKey.terminationMessagePath] ?? ""
    terminationMessagePolicy = status.annotations[RuntimeKey.terminationMessagePolicy] ?? ""
    gracePeriod =
      (status.annotations[RuntimeKey.deletionGracePeriod] ?? status.annotations[RuntimeKey.gracePeriod])
      .flatMap { Int64($0) }
    preStop = status.annotations[RuntimeKey.preStop].flatMap { try? LifecycleHandler.decode(Array($0.utf8)) }
    if status.hasUser, status.user.hasLinux {
      var linux = LinuxContainerUser()
      linux.uid = status.user.linux.uid
      linux.gid = status.user.linux.gid
      linux.supplementalGroups = status.user.linux.supplementalGroups
      var user = ContainerUser()
      user.linux = linux
      self.user = user
    }
    for mount in status.mounts { mounts[mount.containerPath] = mount.hostPath }
  }
}

extension RuntimeContainer.State {
  init(_ state: CRIContainerState) {
    switch state {
    case .containerCreated: self = .created
    case .containerRunning: self = .running
    case .containerExited: self = .exited
    default: self = .unknown
    }
  }
}

/// One sandbox as the runtime knows it.
struct RuntimeSandbox: Sendable, Equatable {
  var id = ""
  var attempt: UInt32 = 0
  var ready = false
  var createdAt: Int64 = 0
  var ips: [String] = []
  var hostNetwork = false
}

/// All that the runtime has of one pod, newest first.
struct RuntimePod: Sendable, Equatable {
  var uid = ""
  var name = ""
  var namespace = ""
  var sandboxes: [RuntimeSandbox] = []
  var containers: [RuntimeContainer] = []

  /// The newest container of a name.
  func container(_ name: String) -> RuntimeContainer? { containers.first { $0.name == name } }

  /// The newest sandbox that is ready.
  var readySandbox: RuntimeSandbox? { sandboxes.first { $0.ready } }

  /// Whether anything still runs.
  var isRunning: Bool { containers.contains { $0.state == .running } || readySandbox != nil }
}
