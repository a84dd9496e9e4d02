import CRI
import Foundation
import GRPC
import Synchronization

@testable import Kubelet

/// A container runtime in memory.
final class FakeEngine: ContainerEngine {
  struct Held {
    var config: CRIContainerConfig
    var status: CRIContainerStatus
    var sandboxID: String
  }

  struct State {
    var sandboxes: [String: (config: CRIPodSandboxConfig, status: CRIPodSandboxStatus)] = [:]
    var containers: [String: Held] = [:]
    var images: [String: CRIImage] = [:]
    var pullError: GRPCStatus?
    var next = 0
    var calls: [String] = []
    var networkReady = true
    var execResults: [String: Int32] = [:]
    /// Containers that end at once with this code, by name.
    var exitsAtOnce: [String: Int32] = [:]
    var stopGraces: [Int64] = []
    /// Where exec, attach and port-forward are served.
    var streamingPort = 1
  }

  private let state = Mutex(State())

  init(images: [String] = ["busybox:1"]) {
    state.withLock { s in
      for name in images {
        var image = CRIImage()
        image.id = "sha256:\(name)"
        image.repoTags = [name]
        image.size = 1000
        s.images[name] = image
      }
    }
  }

  func with<R: Sendable>(_ body: (inout State) -> R) -> R { state.withLock { body(&$0) } }

  var calls: [String] { with { $0.calls } }

  /// A container of that name ends.
  func exit(_ name: String, code: Int32, at time: Int64? = nil) {
    with { s in
      for (id, held) in s.containers where held.config.metadata.name == name && held.status.state == .containerRunning {
        s.containers[id]?.status.state = .containerExited
        s.containers[id]?.status.exitCode = code
        s.containers[id]?.status.finishedAt = time ?? Self.now()
      }
    }
  }

  var running: [String] {
    with { s in
      s.containers.values.filter { $0.status.state == .containerRunning }.map { $0.config.metadata.name }.sorted()
    }
  }

  static func now() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }

  func version() async throws -> CRIVersionResponse {
    var out = CRIVersionResponse()
    out.runtimeName = "containerd"
    out.runtimeVersion = "1.6.20"
    return out
  }

  func status() async throws -> CRIStatusResponse {
    let ready = with { $0.networkReady }
    var out = CRIStatusResponse()
    for (type, value) in [("RuntimeReady", true), ("NetworkReady", ready)] {
      var condition = CRIRuntimeCondition()
      condition.type = type
      condition.status = value
      if !value {
        condition.reason = "NetworkPluginNotReady"
        condition.message = "Network plugin returns error: cni plugin not initialized"
      }
      out.status.conditions.append(condition)
    }
    return out
  }

  func runPodSandbox(_ request: CRIRunPodSandboxRequest) async throws -> String {
    with { s in
      s.next += 1
      let id = "sandbox\(s.next)"
      var status = CRIPodSandboxStatus()
      status.id = id
      status.metadata = request.config.metadata
      status.state = .sandboxReady
      status.createdAt = Self.now()
      status.labels = request.config.labels
      status.network.ip = "10.0.0.\(s.next)"
      status.linux.namespaces.options = request.config.linux.securityContext.namespaceOptions
      s.sandboxes[id] = (request.config, status)
      s.calls.append("runPodSandbox")
      return id
    }
  }

  func stopPodSandbox(_ id: String) async throws {
    with { s in
      s.calls.append("stopPodSandbox")
      s.sandboxes[id]?.status.state = .sandboxNotready
    }
  }

  func removePodSandbox(_ id: String) async throws {
    with { s in
      s.calls.append("removePodSandbox")
      s.sandboxes[id] = nil
      s.containers = s.containers.filter { $0.value.sandboxID != id }
    }
  }

  func podSandboxStatus(_ id: String) async throws -> CRIPodSandboxStatus {
    guard let found = with({ $0.sandboxes[id]?.status }) else { throw GRPCStatus(.notFound, "no such sandbox") }
    return found
  }

  func listPodSandboxes(_ filter: CRIPodSandboxFilter) async throws -> [CRIPodSandbox] {
    with { s in
      s.sandboxes.values.filter { one in filter.labelSelector.allSatisfy { one.config.labels[$0.key] == $0.value } }.map
      {
        var out = CRIPodSandbox()
        out.id = $0.status.id
        out.metadata = $0.status.metadata
        out.state = $0.status.state
        out.createdAt = $0.status.createdAt
        out.labels = $0.config.labels
        return out
      }
    }
  }

  func createContainer(_ request: CRICreateContainerRequest) async throws -> String {
    with { s in
      s.next += 1
      let id = "container\(s.next)"
      var status = CRIContainerStatus()
      status.id = id
      status.metadata = request.config.metadata
      status.state = .containerCreated
      status.createdAt = Self.now()
      status.image.image = request.config.image.userSpecifiedImage
      status.imageRef = "ref-of-\(request.config.image.userSpecifiedImage)"
      status.labels = request.config.labels
      status.annotations = request.config.annotations
      status.mounts = request.config.mounts
      status.logPath = "\(request.sandboxConfig.logDirectory)/\(request.config.logPath)"
      s.containers[id] = Held(config: request.config, status: status, sandboxID: request.podSandboxID)
      s.calls.append("create \(request.config.metadata.name)")
      return id
    }
  }

  func startContainer(_ id: String) async throws {
    with { s in
      guard let name = s.containers[id]?.config.metadata.name else { return }
      s.calls.append("start \(name)")
      s.containers[id]?.status.startedAt = Self.now()
      if let code = s.exitsAtOnce[name] {
        s.containers[id]?.status.state = .containerExited
        s.containers[id]?.status.exitCode = code
        s.containers[id]?.status.finishedAt = Self.now()
      } else {
        s.containers[id]?.status.state = .containerRunning
      }
    }
  }

  func stopContainer(_ id: String, graceSeconds: Int64) async throws {
    with { s in
      guard let held = s.containers[id] else { return }
      s.calls.append("stop \(held.config.metadata.name)")
      s.stopGraces.append(graceSeconds)
      guard held.status.state == .containerRunning else { return }
      s.containers[id]?.status.state = .containerExited
      s.containers[id]?.status.exitCode = 143
      s.containers[id]?.status.finishedAt = Self.now()
    }
  }

  func removeContainer(_ id: String) async throws {
    with { s in
      s.calls.append("remove \(s.containers[id]?.config.metadata.name ?? id)")
      s.containers[id] = nil
    }
  }

  func listContainers(_ filter: CRIContainerFilter) async throws -> [CRIContainer] {
    with { s in
      s.containers.values.filter { one in
        filter.labelSelector.allSatisfy { one.config.labels[$0.key] == $0.value }
          && (!filter.hasState || one.status.state == filter.state.state)
      }.map {
        var out = CRIContainer()
        out.id = $0.status.id
        out.podSandboxID = $0.sandboxID
        out.metadata = $0.status.metadata
        out.state = $0.status.state
        out.createdAt = $0.status.createdAt
        out.labels = $0.config.labels
        out.annotations = $0.config.annotations
        return out
      }
    }
  }

  func containerStatus(_ id: String) async throws -> CRIContainerStatus {
    guard let found = with({ $0.containers[id]?.status }) else { throw GRPCStatus(.notFound, "no such container") }
    return found
  }

  func reopenContainerLog(_ id: String) async throws { with { $0.calls.append("reopen") } }

  func execSync(_ id: String, _ command: [String], timeoutSeconds: Int64) async throws -> CRIExecSyncResponse {
    with { s in
      s.calls.append("exec \(command.joined(separator: " "))")
      var out = CRIExecSyncResponse()
      out.exitCode = s.execResults[command.joined(separator: " ")] ?? 0
      out.stdout = Data("output".utf8)
      return out
    }
  }

  func exec(_ request: CRIExecRequest) async throws -> String {
    "http://127.0.0.1:\(with { $0.streamingPort })/exec/token"
  }
  func attach(_ request: CRIAttachRequest) async throws -> String {
    "http://127.0.0.1:\(with { $0.streamingPort })/attach/token"
  }
  func portForward(_ request: CRIPortForwardRequest) async throws -> String {
    "http://127.0.0.1:\(with { $0.streamingPort })/portforward/token"
  }
  func listContainerStats() async throws -> [CRIContainerStats] { [] }
  func updateRuntimeConfig(podCIDR: String) async throws { with { $0.calls.append("podCIDR \(podCIDR)") } }
  func listImages() async throws -> [CRIImage] { with { Array($0.images.values) } }

  func imageStatus(_ image: CRIImageSpec) async throws -> CRIImage? {
    with { s in s.images[image.image] ?? s.images.values.first { $0.id == image.image } }
  }

  func pullImage(_ request: CRIPullImageRequest) async throws -> String {
    let name = request.image.image
    let error = with { s -> GRPCStatus? in
      s.calls.append("pull \(name)")
      if let error = s.pullError { return error }
      var image = CRIImage()
      image.id = "sha256:\(name)"
      image.size = 2000
      s.images[name] = image
      return nil
    }
    if let error { throw error }
    return "sha256:\(name)"
  }

  func removeImage(_ image: CRIImageSpec) async throws { with { $0.images[image.image] = nil } }
  func imageFileSystems() async throws -> [CRIFilesystemUsage] { [] }
}

/// Handlers that always answer the same.
struct FakeHandlers: HandlerRunner {
  var result: HandlerResult = .success
  func exec(_ containerID: String, _ command: [String], timeout: Duration) async -> HandlerResult { result }
  func http(_ url: String, headers: [(String, String)], timeout: Duration) async -> HandlerResult { result }
  func tcp(host: String, port: Int, timeout: Duration) async -> HandlerResult { result }
  func grpc(host: String, port: Int, service: String, timeout: Duration) async -> HandlerResult { result }
}

/// Mounts nothing.
struct NoMounter: Mounter {
  func mountTmpfs(_ path: String, sizeBytes: Int64?) throws {}
  func bind(_ source: String, _ target: String, readOnly: Bool) throws {}
  func unmount(_ path: String) throws {}
  func isMountPoint(_ path: String) -> Bool { false }
}
