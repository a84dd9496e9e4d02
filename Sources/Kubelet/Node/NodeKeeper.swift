import API
import CRI
import Client
import Logging
import Synchronization

/// Registers this node, keeps its status true and its lease alive.
final class NodeKeeper: Sendable {
  private struct State {
    var node: Node?
    var lastReport: ContinuousTime?
    var port: Int
    var runtimeName = "containerd"
    var runtimeVersion = ""
    var networkProblem: String? = "container runtime network not ready: the runtime has not answered yet"
    var runtimeProblem: String?
    var podCIDR = ""
    var wasReady: Bool?
    var lastSaid = ""
  }

  let machine: Machine
  let hostIPs: [String]
  private let client: APIClient?
  private let engine: any ContainerEngine
  private let configuration: KubeletConfiguration
  private let events: EventRecorder?
  private let clock: @Sendable () -> ContinuousTime
  private let problem: @Sendable () -> String?
  private let volumesInUse: @Sendable () -> [String]
  private let onReady: @Sendable () -> Void
  private let logger: Logger
  private let state: Mutex<State>
  private let wakeUp = WakeUp()

  init(
    client: APIClient?, engine: any ContainerEngine, configuration: KubeletConfiguration, machine: Machine,
    hostIPs: [String], events: EventRecorder?, clock: @escaping @Sendable () -> ContinuousTime,
    problem: @escaping @Sendable () -> String?,
    volumesInUse: @escaping @Sendable () -> [String], onReady: @escaping @Sendable () -> Void, logger: Logger
  ) {
    self.client = client
    self.engine = engine
    self.configuration = configuration
    var machine = machine
    machine.hostname = configuration.nodeName
    self.machine = machine
    self.events = events
    self.clock = clock
    self.problem = problem
    self.volumesInUse = volumesInUse
    self.onReady = onReady
    self.logger = logger
    self.hostIPs = hostIPs
    state = Mutex(State(port: configuration.port))
  }

  /// The node as the API has it, or as it will be registered.
  var node: Node { state.withLock { $0.node } ?? local() }
  /// Nil before the API knows the node.
  var registered: Node? { state.withLock { $0.node } }
  var runtimeName: String { state.withLock { $0.runtimeName } }
  var networkProblem: String? { state.withLock { $0.networkProblem } }

  /// The port that the server got.
  func setPort(_ port: Int) { state.withLock { $0.port = port } }

  var facts: NodeFacts {
    let node = node
    return NodeFacts(
      hostIPs: hostIPs, allocatable: node.status.allocatable, memoryCapacity: machine.memory,
      labels: node.metadata.labels)
  }

  /// The informer saw the node.
  func observed(_ node: Node) {
    let cidr = state.withLock { s -> String? in
      s.node = node
      guard !node.spec.podCIDR.isEmpty, s.podCIDR != node.spec.podCIDR else { return nil }
      s.podCIDR = node.spec.podCIDR
      return node.spec.podCIDR
    }
    if cidr != nil { wakeUp.wake() }
  }

  // MARK: Runtime

  /// Asks the runtime how it is.
  func askRuntime() async {
    do {
      let version = try await engine.version()
      let status = try await engine.status()
      let conditions = status.status.conditions
      func failing(_ type: String) -> CRIRuntimeCondition? {
        guard let found = conditions.first(where: { $0.type == type }) else {
          var missing = CRIRuntimeCondition()
          missing.type = type
          return missing
        }
        return found.status ? nil : found
      }
      state.withLock { s in
        s.runtimeName = version.runtimeName
        s.runtimeVersion = version.runtimeVersion
        s.runtimeProblem = failing("RuntimeReady").map {
          "container runtime not ready: RuntimeReady=false reason:\($0.reason) message:\($0.message)"
        }
        s.networkProblem = failing("NetworkReady").map {
          "container runtime network not ready: NetworkReady=false reason:\($0.reason) message:\($0.message)"
        }
      }
    } catch {
      state.withLock {
        $0.runtimeProblem = "container runtime status check may not have completed yet: \(describe(error))"
      }
    }
  }

  private func tellPodCIDR() async {
    let cidr = state.withLock { $0.podCIDR }
    guard !cidr.isEmpty else { return }
    do { try await engine.updateRuntimeConfig(podCIDR: cidr) } catch {
      logger.debug("telling the runtime its pod CIDR failed", metadata: ["error": "\(describe(error))"])
    }
  }

  // MARK: Status

  /// Keeps the node's status until cancelled.
  func runStatus() async {
    await askRuntime()
    var told = ""
    var problems: [String?] = []
    var next = clock()
    while !Task.isCancelled {
      let (cidr, now) = state.withLock { ($0.podCIDR, [$0.networkProblem, $0.runtimeProblem]) }
      if cidr != told {
        await tellPodCIDR()
        told = cidr
        await askRuntime()
      }
      // Time decides, or something that everybody waits for.
      let changed = now != problems
      if changed || clock() >= next {
        problems = now
        next = clock() + (await update() ? configuration.nodeStatusUpdateFrequency : .seconds(1))
        if changed, now == [nil, nil] { onReady() }
      }
      let calm = state.withLock { $0.wasReady == true && $0.networkProblem == nil && $0.runtimeProblem == nil }
      await wakeUp.wait(for: calm ? max(clock().duration(to: next), .milliseconds(10)) : .milliseconds(200))
      await askRuntime()
    }
  }

  /// Computes the status and sends it if it is due; whether that went well.
  private func update() async -> Bool {
    guard let client else { return true }
    do {
      let current = try await ensureRegistered(client)
      let status = await compute(current.status)
      let now = clock()
      let ready = status.conditions.contains { $0.type == "Ready" && $0.status == "True" }
      let last = state.withLock { $0.lastReport }
      let stale = last.map { $0.duration(to: now) >= configuration.nodeStatusReportFrequency } ?? true
      if stale || !NodeStatusBuilder.isSame(current.status, status) {
        if let patch = NodePatch.make(from: current.status, to: status) {
          let after = try await client.patch(
            Node.self, name: configuration.nodeName, .strategic(patch), subresource: "status")
          state.withLock { $0.node = after }
        }
        state.withLock { $0.lastReport = now }
      }
      tell(ready)
      return true
    } catch let error as StatusError where error.code == 404 {
      state.withLock { $0.node = nil }
    } catch {
      say("updating the node's status failed", error)
    }
    return false
  }

  /// Logs a problem once, not at every try.
  private func say(_ what: String, _ error: any Error) {
    let text = "\(what): \(error)"
    let isNew = state.withLock { s in
      defer { s.lastSaid = text }
      return s.lastSaid != text
    }
    if isNew { logger.warning("\(what)", metadata: ["error": "\(error)"]) }
  }

  private func tell(_ ready: Bool) {
    let before = state.withLock { s in
      defer { s.wasReady = ready }
      return s.wasReady
    }
    guard before != ready else { return }
    event(
      "Normal", ready ? "NodeReady" : "NodeNotReady",
      "Node \(configuration.nodeName) status is now: \(ready ? "NodeReady" : "NodeNotReady")")
  }

  func event(_ type: String, _ reason: String, _ message: String) {
    var target = ObjectReference()
    target.kind = "Node"
    target.apiVersion = "v1"
    target.name = configuration.nodeName
    // Upstream refers to nodes by name here; `kubectl describe node` finds events by that.
    target.uid = state.withLock { $0.node?.metadata.uid } ?? configuration.nodeName
    events?.event(target, type: type, reason: reason, message: message)
  }

  private func ensureRegistered(_ client: APIClient) async throws -> Node {
    do {
      let found = try await client.get(Node.self, name: configuration.nodeName)
      let wanted = local()
      var labels: [String: JSONValue] = [:]
      for (key, value) in wanted.metadata.labels where found.metadata.labels[key] != value {
        labels[key] = .string(value)
      }
      if !labels.isEmpty, configuration.registerNode {
        let patch = JSONValue.object(["metadata": .object(["labels": .object(labels)])])
        do {
          let after = try await client.patch(Node.self, name: configuration.nodeName, .merge(patch.encoded()))
          observed(after)
          return after
        } catch let error as StatusError where error.code == 403 || error.code == 422 {
          // A label that a node may not give itself must not keep it from reporting.
          say("labelling the node was refused", error)
        }
      }
      observed(found)
      return found
    } catch let error as StatusError where error.code == 404 && configuration.registerNode {
      var node = local()
      node.status = await compute(NodeStatus())
      let made = try await client.create(node)
      observed(made)
      logger.info("registered the node", metadata: ["node": "\(configuration.nodeName)"])
      return made
    }
  }

  /// The Node object that this kubelet would register.
  private func local() -> Node {
    var node = Node()
    node.metadata.name = configuration.nodeName
    node.metadata.labels = configuration.nodeLabels
    node.metadata.labels[NodeLabels.hostname] = configuration.nodeName
    node.metadata.labels[NodeLabels.os] = "linux"
    node.metadata.labels[NodeLabels.arch] = machine.architecture
    node.metadata.labels["beta.kubernetes.io/os"] = "linux"
    node.metadata.labels["beta.kubernetes.io/arch"] = machine.architecture
    node.metadata.annotations["volumes.kubernetes.io/controller-managed-attach-detach"] = "true"
    if configuration.externalCloud, !configuration.nodeIPs.isEmpty {
      node.metadata.annotations["alpha.kubernetes.io/provided-node-ip"] = configuration.nodeIPs.joined(separator: ",")
    }
    node.spec.providerID = configuration.providerID
    node.spec.taints = configuration.registerWithTaints.map {
      var taint = Taint()
      taint.key = $0.key
      taint.value = $0.value
      taint.effect = $0.effect
      return taint
    }
    node.status = NodeStatusBuilder.build(input(NodeStatus(), images: []))
    return node
  }

  private func compute(_ previous: NodeStatus) async -> NodeStatus {
    let images = ((try? await engine.listImages()) ?? []).sorted { $0.size > $1.size }.prefix(50).map { image in
      var out = ContainerImage()
      out.names = (image.repoDigests + image.repoTags).prefix(5).map { $0 }
      out.sizeBytes = Int64(image.size)
      return out
    }
    return NodeStatusBuilder.build(input(previous, images: images))
  }

  private func input(_ previous: NodeStatus, images: [ContainerImage]) -> NodeStatusInput {
    let (port, name, version, network, runtime) = state.withLock {
      ($0.port, $0.runtimeName, $0.runtimeVersion, $0.networkProblem, $0.runtimeProblem)
    }
    let disk = Machine.fileSystem(configuration.rootDirectory) ?? Machine.fileSystem("/")
    var problems: [String] = []
    if let runtime { problems.append(runtime) }
    if let network { problems.append(network) }
    if let problem = problem() { problems.append("PLEG is not healthy: \(problem)") }
    return NodeStatusInput(
      machine: machine, configuration: configuration, hostIPs: hostIPs, port: port, runtime: "\(name)://\(version)",
      images: images, volumesInUse: volumesInUse(), problems: problems, diskSize: disk?.size ?? 0,
      diskFree: disk?.free ?? 0,
      memoryAvailable: Machine.memory("MemAvailable"), previous: previous, now: clock().time)
  }

  // MARK: Lease

  /// Renews the lease until cancelled: a quarter of its duration between two renewals.
  func runLease() async {
    let period = Duration.seconds(Int64(configuration.nodeLeaseDurationSeconds)) / 4
    while !Task.isCancelled {
      let renewed = await renew()
      do { try await Task.sleep(for: renewed ? period : .seconds(1)) } catch { return }
    }
  }

  private func renew() async -> Bool {
    guard let client, let node = registered else { return client == nil }
    let namespace = "kube-node-lease"
    do {
      var lease: Lease
      do {
        lease = try await client.get(Lease.self, namespace: namespace, name: configuration.nodeName)
      } catch let error as StatusError where error.code == 404 {
        lease = Lease()
        lease.metadata.namespace = namespace
        lease.metadata.name = configuration.nodeName
        fill(&lease, node)
        try await client.create(lease)
        return true
      }
      fill(&lease, node)
      try await client.update(lease)
      return true
    } catch {
      logger.debug("renewing the lease failed", metadata: ["error": "\(error)"])
      return false
    }
  }

  private func fill(_ lease: inout Lease, _ node: Node) {
    var owner = OwnerReference()
    owner.apiVersion = "v1"
    owner.kind = "Node"
    owner.name = node.metadata.name
    owner.uid = node.metadata.uid
    lease.metadata.ownerReferences = [owner]
    lease.spec.holderIdentity = configuration.nodeName
    lease.spec.leaseDurationSeconds = configuration.nodeLeaseDurationSeconds
    lease.spec.renewTime = .now
  }
}

/// The smallest patch between two node statuses.
enum NodePatch {
  static func make(from old: NodeStatus, to new: NodeStatus) -> [UInt8]? {
    guard let before = (try? JSONValue(parsing: old.encoded()))?.objectValue,
      let after = (try? JSONValue(parsing: new.encoded()))?.objectValue
    else { return nil }
    var changes: [String: JSONValue] = [:]
    for key in Set(before.keys).union(after.keys) where before[key] != after[key] {
      switch key {
      case "conditions":
        let kept = before[key]?.arrayValue ?? []
        let list = (after[key]?.arrayValue ?? []).filter { !kept.contains($0) }
        if !list.isEmpty { changes[key] = .array(list) }
      case "addresses":
        changes[key] = .array([.object(["$patch": .string("replace")])] + (after[key]?.arrayValue ?? []))
      case "capacity", "allocatable":
        // Maps merge: what fell away must be said.
        var map = after[key]?.objectValue ?? [:]
        for name in (before[key]?.objectValue ?? [:]).keys where map[name] == nil { map[name] = .null }
        changes[key] = .object(map)
      default: changes[key] = after[key] ?? .null
      }
    }
    return changes.isEmpty ? nil : JSONValue.object(["status": .object(changes)]).encoded()
  }
}
