import API
import CRI
import Synchronization

/// Reads what the runtime has. An exited container does not change any more, so its status is asked for once.
final class RuntimeReader: Sendable {
  private let engine: any ContainerEngine
  private let exited = Mutex<[String: RuntimeContainer]>([:])

  init(engine: any ContainerEngine) { self.engine = engine }

  /// All of one pod.
  func pod(uid: String, name: String, namespace: String) async throws -> RuntimePod {
    var sandboxFilter = CRIPodSandboxFilter()
    sandboxFilter.labelSelector = [RuntimeKey.podUID: uid]
    var containerFilter = CRIContainerFilter()
    containerFilter.labelSelector = [RuntimeKey.podUID: uid]
    let sandboxes = try await engine.listPodSandboxes(sandboxFilter)
    let containers = try await engine.listContainers(containerFilter)
    var pod = RuntimePod()
    pod.uid = uid
    pod.name = name
    pod.namespace = namespace
    for sandbox in sandboxes {
      if let read = try await self.sandbox(sandbox) { pod.sandboxes.append(read) }
    }
    for container in containers {
      if let read = try await self.container(container) { pod.containers.append(read) }
    }
    pod.sandboxes.sort { ($0.createdAt, $0.attempt) > ($1.createdAt, $1.attempt) }
    pod.containers.sort { $0.createdAt > $1.createdAt }
    return pod
  }

  private func sandbox(_ listed: CRIPodSandbox) async throws -> RuntimeSandbox? {
    var out = RuntimeSandbox()
    out.id = listed.id
    out.attempt = listed.metadata.attempt
    out.createdAt = listed.createdAt
    do {
      let status = try await engine.podSandboxStatus(listed.id)
      out.ready = status.state == .sandboxReady
      out.hostNetwork = status.linux.namespaces.options.network == .node
      if !status.network.ip.isEmpty { out.ips = [status.network.ip] + status.network.additionalIps.map(\.ip) }
      return out
    } catch  where isNotFound(error) {
      return nil
    }
  }

  private func container(_ listed: CRIContainer) async throws -> RuntimeContainer? {
    if listed.state == .containerExited, let known = exited.withLock({ $0[listed.id] }) { return known }
    do {
      let read = RuntimeContainer(try await engine.containerStatus(listed.id), sandboxID: listed.podSandboxID)
      if read.state == .exited { exited.withLock { $0[listed.id] = read } }
      return read
    } catch  where isNotFound(error) {
      return nil
    }
  }

  /// Lets go of remembered containers that the runtime no longer lists.
  func forget(except live: Set<String>) {
    exited.withLock { known in
      for id in known.keys where !live.contains(id) { known[id] = nil }
    }
  }
}
