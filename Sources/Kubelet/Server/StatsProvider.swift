import API
import CRI
import Synchronization

/// What containers use, from the runtime.
final class StatsProvider: Sendable {
  struct Usage: Sendable {
    var id: String
    var pod: String
    var namespace: String
    var uid: String
    var container: String
    var cpuNanoseconds: UInt64
    var cpuNanoCores: UInt64
    var workingSet: UInt64
    var usage: UInt64
    var rss: UInt64
    var rootBytes: UInt64
    var timestamp: Int64
  }

  private let engine: any ContainerEngine
  private let nodeName: String
  private let rootDirectory: String
  private let clock: @Sendable () -> ContinuousTime
  /// The last reading by container, from which rates follow where the runtime gives none.
  private let last = Mutex<[String: (nanoseconds: UInt64, at: Int64)]>([:])

  init(
    engine: any ContainerEngine, nodeName: String, rootDirectory: String,
    clock: @escaping @Sendable () -> ContinuousTime
  ) {
    self.engine = engine
    self.nodeName = nodeName
    self.rootDirectory = rootDirectory
    self.clock = clock
  }

  /// Reads all containers.
  func read() async throws -> [Usage] {
    let stats = try await engine.listContainerStats()
    let out = stats.compactMap { one -> Usage? in
      let labels = one.attributes.labels
      guard let pod = labels[RuntimeKey.podName], let container = labels[RuntimeKey.containerName] else { return nil }
      let used = one.cpu.usageCoreNanoSeconds.value
      var rate = one.cpu.usageNanoCores.value
      if rate == 0, let before = last.withLock({ $0[one.attributes.id] }), one.cpu.timestamp > before.at,
        used >= before.nanoseconds
      {
        rate = UInt64(Double(used - before.nanoseconds) / Double(one.cpu.timestamp - before.at) * 1e9)
      }
      return Usage(
        id: one.attributes.id, pod: pod, namespace: labels[RuntimeKey.podNamespace] ?? "",
        uid: labels[RuntimeKey.podUID] ?? "",
        container: container, cpuNanoseconds: used, cpuNanoCores: rate, workingSet: one.memory.workingSetBytes.value,
        usage: one.memory.usageBytes.value, rss: one.memory.rssBytes.value,
        rootBytes: one.writableLayer.usedBytes.value, timestamp: one.cpu.timestamp)
    }
    last.withLock { all in
      all = [:]
      for one in stats { all[one.attributes.id] = (one.cpu.usageCoreNanoSeconds.value, one.cpu.timestamp) }
    }
    return out.sorted { ($0.namespace, $0.pod, $0.container) < ($1.namespace, $1.pod, $1.container) }
  }

  // MARK: /stats/summary

  /// The summary that autoscalers and `kubectl top` (through metrics-server) build on.
  func summary() async throws -> JSONValue {
    let all = try await read()
    let now = Time(seconds: clock().nanoseconds / 1_000_000_000)
    var pods: [JSONValue] = []
    for (uid, group) in Dictionary(grouping: all, by: \.uid).sorted(by: { $0.key < $1.key }) {
      guard let first = group.first else { continue }
      pods.append(
        .object([
          "podRef": .object(["name": .string(first.pod), "namespace": .string(first.namespace), "uid": .string(uid)]),
          "startTime": .string(now.description),
          "containers": .array(group.map { container($0) }),
          "cpu": cpu(
            group.reduce(0) { $0 + $1.cpuNanoCores }, group.reduce(0) { $0 + $1.cpuNanoseconds }, first.timestamp),
          "memory": memory(
            group.reduce(0) { $0 + $1.workingSet }, group.reduce(0) { $0 + $1.usage }, group.reduce(0) { $0 + $1.rss },
            first.timestamp),
        ]))
    }
    return .object(["node": node(now), "pods": .array(pods)])
  }

  private func container(_ usage: Usage) -> JSONValue {
    .object([
      "name": .string(usage.container), "cpu": cpu(usage.cpuNanoCores, usage.cpuNanoseconds, usage.timestamp),
      "memory": memory(usage.workingSet, usage.usage, usage.rss, usage.timestamp),
      "rootfs": .object(["usedBytes": .int(Int64(clamping: usage.rootBytes))]),
    ])
  }

  private func node(_ now: Time) -> JSONValue {
    let disk = Machine.fileSystem(rootDirectory) ?? Machine.fileSystem("/")
    let total = Machine.memory("MemTotal")
    let available = Machine.memory("MemAvailable")
    var fs: [String: JSONValue] = ["time": .string(now.description)]
    if let disk {
      fs["capacityBytes"] = .int(disk.size)
      fs["availableBytes"] = .int(disk.free)
      fs["usedBytes"] = .int(disk.size - disk.free)
      fs["inodes"] = .int(disk.inodes)
      fs["inodesFree"] = .int(disk.inodesFree)
    }
    return .object([
      "nodeName": .string(nodeName), "fs": .object(fs),
      "cpu": cpu(0, NodeCPU.busyNanoseconds(), clock().nanoseconds),
      "memory": .object([
        "time": .string(now.description), "availableBytes": .int(available), "usageBytes": .int(total - available),
        "workingSetBytes": .int(total - available),
      ]),
    ])
  }

  private func cpu(_ cores: UInt64, _ nanoseconds: UInt64, _ at: Int64) -> JSONValue {
    .object([
      "time": .string(Time(seconds: at / 1_000_000_000).description), "usageNanoCores": .int(Int64(clamping: cores)),
      "usageCoreNanoSeconds": .int(Int64(clamping: nanoseconds)),
    ])
  }

  private func memory(_ workingSet: UInt64, _ usage: UInt64, _ rss: UInt64, _ at: Int64) -> JSONValue {
    .object([
      "time": .string(Time(seconds: at / 1_000_000_000).description),
      "workingSetBytes": .int(Int64(clamping: workingSet)),
      "usageBytes": .int(Int64(clamping: usage)), "rssBytes": .int(Int64(clamping: rss)),
    ])
  }

  // MARK: /metrics/resource

  /// The resource metrics in Prometheus' text form.
  func resourceMetrics() async throws -> String {
    let all = try await read()
    var out = ""
    func family(_ name: String, _ help: String, _ kind: String, _ lines: [String]) {
      out += "# HELP \(name) [STABLE] \(help)\n# TYPE \(name) \(kind)\n"
      for line in lines { out += line + "\n" }
    }
    func labels(_ usage: Usage) -> String {
      "{container=\"\(usage.container)\",namespace=\"\(usage.namespace)\",pod=\"\(usage.pod)\"}"
    }
    family(
      "container_cpu_usage_seconds_total", "Cumulative cpu time consumed by the container in core-seconds", "counter",
      all.map {
        "container_cpu_usage_seconds_total\(labels($0)) \(Double($0.cpuNanoseconds) / 1e9) \($0.timestamp / 1_000_000)"
      })
    family(
      "container_memory_working_set_bytes", "Current working set of the container in bytes", "gauge",
      all.map { "container_memory_working_set_bytes\(labels($0)) \($0.workingSet) \($0.timestamp / 1_000_000)" })
    let now = clock().nanoseconds / 1_000_000
    let started = try await engine.listContainers(CRIContainerFilter()).filter { $0.state == .containerRunning }
    family(
      "container_start_time_seconds", "Start time of the container since unix epoch in seconds", "gauge",
      started.compactMap { container in
        guard let one = all.first(where: { $0.id == container.id }) else { return nil }
        return "container_start_time_seconds\(labels(one)) \(Double(container.createdAt) / 1e9) \(now)"
      })
    family(
      "node_cpu_usage_seconds_total", "Cumulative cpu time consumed by the node in core-seconds", "counter",
      ["node_cpu_usage_seconds_total \(Double(NodeCPU.busyNanoseconds()) / 1e9) \(now)"])
    family(
      "node_memory_working_set_bytes", "Current working set of the node in bytes", "gauge",
      ["node_memory_working_set_bytes \(Machine.memory("MemTotal") - Machine.memory("MemAvailable")) \(now)"])
    let pods = Dictionary(grouping: all, by: \.uid).values.compactMap { group in
      group.first.map { (first: $0, group: group) }
    }
    func podLabels(_ usage: Usage) -> String { "{namespace=\"\(usage.namespace)\",pod=\"\(usage.pod)\"}" }
    family(
      "pod_cpu_usage_seconds_total", "Cumulative cpu time consumed by the pod in core-seconds", "counter",
      pods.map {
        "pod_cpu_usage_seconds_total\(podLabels($0.first)) \(Double($0.group.reduce(0) { $0 + $1.cpuNanoseconds }) / 1e9) \($0.first.timestamp / 1_000_000)"
      })
    family(
      "pod_memory_working_set_bytes", "Current working set of the pod in bytes", "gauge",
      pods.map {
        "pod_memory_working_set_bytes\(podLabels($0.first)) \($0.group.reduce(0) { $0 + $1.workingSet }) \($0.first.timestamp / 1_000_000)"
      })
    family(
      "resource_scrape_error", "1 if there was an error while getting container metrics, 0 otherwise", "gauge",
      ["resource_scrape_error 0"])
    return out
  }
}

/// The processors' time of the whole machine.
enum NodeCPU {
  static func busyNanoseconds() -> UInt64 {
    guard let line = (try? Files.text("/proc/stat"))?.split(separator: "\n").first else { return 0 }
    let ticks = line.split(separator: " ").dropFirst().compactMap { UInt64($0) }
    guard ticks.count > 4 else { return 0 }
    // Everything but idle and waiting for disks; a tick is a hundredth of a second.
    return (ticks.prefix(8).reduce(0, +) - ticks[3] - ticks[4]) * 10_000_000
  }
}
