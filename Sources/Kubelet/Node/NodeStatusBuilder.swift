import API

/// What a node's status is computed from.
struct NodeStatusInput: Sendable {
  var machine: Machine
  var configuration: KubeletConfiguration
  var hostIPs: [String]
  var port: Int
  var runtime: String
  var images: [ContainerImage]
  var volumesInUse: [String]
  /// Why the node is not ready; empty when it is.
  var problems: [String]
  var diskSize: Int64
  var diskFree: Int64
  var memoryAvailable: Int64
  var previous: NodeStatus
  var now: Time
}

/// Computes the status of this node. Pure.
enum NodeStatusBuilder {
  static func build(_ input: NodeStatusInput) -> NodeStatus {
    var status = input.previous
    status.capacity = capacity(input)
    status.allocatable = allocatable(input)
    // What a cloud has said of the addresses is not ours to overrule.
    if !input.configuration.externalCloud || status.addresses.isEmpty {
      status.addresses =
        input.hostIPs.map { address("InternalIP", $0) } + [address("Hostname", input.machine.hostname)]
    }
    status.daemonEndpoints.kubeletEndpoint.Port = Int32(input.port)
    status.nodeInfo.machineID = input.machine.machineID
    status.nodeInfo.systemUUID = input.machine.systemUUID
    status.nodeInfo.bootID = input.machine.bootID
    status.nodeInfo.kernelVersion = input.machine.kernel
    status.nodeInfo.osImage = input.machine.osImage
    status.nodeInfo.containerRuntimeVersion = input.runtime
    status.nodeInfo.kubeletVersion = input.configuration.version
    status.nodeInfo.kubeProxyVersion = ""
    status.nodeInfo.operatingSystem = "linux"
    status.nodeInfo.architecture = input.machine.architecture
    status.images = input.images
    status.volumesInUse = input.volumesInUse
    status.conditions = conditions(input)
    return status
  }

  static func capacity(_ input: NodeStatusInput) -> [String: Quantity] {
    var out: [String: Quantity] = [
      "cpu": Quantity(Int64(input.machine.cores)), "memory": kibi(input.machine.memory),
      "pods": Quantity(Int64(input.configuration.maxPods)), "ephemeral-storage": kibi(input.diskSize),
    ]
    for (name, bytes) in input.machine.hugePages { out[name] = Quantity(bytes, format: .binarySI) }
    // Extended resources are whoever's advertises them.
    for (name, amount) in input.previous.capacity where isExtended(name) { out[name] = amount }
    return out
  }

  private static func isExtended(_ name: String) -> Bool {
    guard let slash = name.firstIndex(of: "/") else { return false }
    let domain = name[..<slash]
    return domain != "kubernetes.io" && !domain.hasSuffix(".kubernetes.io")
  }

  /// The capacity without what is reserved and what eviction keeps free.
  static func allocatable(_ input: NodeStatusInput) -> [String: Quantity] {
    var out = capacity(input)
    func reserve(_ name: String, _ amount: Quantity) {
      guard let has = out[name] else { return }
      out[name] = has > amount ? has - amount : Quantity(0)
    }
    for reserved in [input.configuration.systemReserved, input.configuration.kubeReserved] {
      for (name, text) in reserved { if let amount = try? Quantity(parsing: text) { reserve(name, amount) } }
    }
    if let kept = try? Quantity(parsing: input.configuration.evictionMemoryAvailable) { reserve("memory", kept) }
    let keptDisk = input.diskSize / 100 * Int64(input.configuration.evictionNodeFSAvailablePercent)
    out["ephemeral-storage"] = Quantity(max(input.diskSize - keptDisk, 0))
    return out
  }

  private static func kibi(_ bytes: Int64) -> Quantity { Quantity(bytes / 1024 * 1024, format: .binarySI) }

  private static func address(_ type: String, _ value: String) -> NodeAddress {
    var out = NodeAddress()
    out.type = type
    out.address = value
    return out
  }

  private static func conditions(_ input: NodeStatusInput) -> [NodeCondition] {
    let memoryKept = (try? Quantity(parsing: input.configuration.evictionMemoryAvailable))?.value ?? 0
    let memory = input.memoryAvailable < memoryKept
    let disk =
      input.diskSize > 0
      && input.diskFree < input.diskSize / 100 * Int64(input.configuration.evictionNodeFSAvailablePercent)
    let computed = [
      make(
        "MemoryPressure", memory, memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
        memory ? "kubelet has insufficient memory available" : "kubelet has sufficient memory available", input),
      make(
        "DiskPressure", disk, disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
        disk ? "kubelet has disk pressure" : "kubelet has no disk pressure", input),
      make("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available", input),
      input.problems.isEmpty
        ? make("Ready", true, "KubeletReady", "kubelet is posting ready status", input)
        : make(
          "Ready", false, "KubeletNotReady",
          input.problems.count == 1 ? input.problems[0] : "[\(input.problems.joined(separator: ", "))]", input),
    ]
    return computed + input.previous.conditions.filter { other in !computed.contains { $0.type == other.type } }
  }

  private static func make(
    _ type: String, _ status: Bool, _ reason: String, _ message: String, _ input: NodeStatusInput
  )
    -> NodeCondition
  {
    var out = NodeCondition()
    out.type = type
    out.status = status ? "True" : "False"
    out.reason = reason
    out.message = message
    out.lastHeartbeatTime = input.now
    let old = input.previous.conditions.first { $0.type == type }
    out.lastTransitionTime = old.flatMap { $0.status == out.status ? $0.lastTransitionTime : nil } ?? input.now
    return out
  }

  /// Whether two statuses say the same but for the time of the last heartbeat.
  static func isSame(_ a: NodeStatus, _ b: NodeStatus) -> Bool {
    func calm(_ status: NodeStatus) -> NodeStatus {
      var out = status
      for index in out.conditions.indices { out.conditions[index].lastHeartbeatTime = Time() }
      return out
    }
    return calm(a).encoded() == calm(b).encoded()
  }
}
