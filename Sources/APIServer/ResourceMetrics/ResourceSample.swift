import APIMachinery

/// What one thing has used up to one moment.
struct UsagePoint: Sendable, Equatable {
  /// Milliseconds since 1970.
  var time: Int64
  /// Seconds of processor time since it began.
  var cpu: Double
  /// Bytes in its working set.
  var memory: Int64
  /// When it began, in milliseconds since 1970; 0 where that is not known.
  var start: Int64 = 0
}

/// What a kubelet's `/metrics/resource` says at one moment.
struct ResourceSample: Sendable, Equatable {
  struct PodKey: Hashable, Sendable {
    var namespace: String
    var name: String
  }

  var node: UsagePoint?
  var pods: [PodKey: [String: UsagePoint]] = [:]

  init() {}

  /// Reads Prometheus' text form. Lines that say nothing of use, or make no sense, count for nothing.
  init(text: some Collection<UInt8>) {
    for line in text.split(separator: 10) where line.first != UInt8(ascii: "#") {
      guard let entry = MetricLine(line) else { continue }
      switch entry.name {
      case "node_cpu_usage_seconds_total": change(&node, entry) { $0.cpu = entry.value }
      case "node_memory_working_set_bytes": change(&node, entry) { $0.memory = Int64(entry.value) }
      case "container_cpu_usage_seconds_total": change(entry) { $0.cpu = entry.value }
      case "container_memory_working_set_bytes": change(entry) { $0.memory = Int64(entry.value) }
      case "container_start_time_seconds": change(entry) { $0.start = Int64(entry.value * 1000) }
      default: continue
      }
    }
  }

  private func change(_ point: inout UsagePoint?, _ entry: MetricLine, _ set: (inout UsagePoint) -> Void) {
    var changed = point ?? UsagePoint(time: 0, cpu: 0, memory: 0)
    set(&changed)
    changed.time = max(changed.time, entry.timestamp)
    point = changed
  }

  private mutating func change(_ entry: MetricLine, _ set: (inout UsagePoint) -> Void) {
    guard let namespace = entry.labels["namespace"], let pod = entry.labels["pod"],
      let container = entry.labels["container"]
    else { return }
    let key = PodKey(namespace: namespace, name: pod)
    var point = pods[key]?[container]
    if entry.name == "container_start_time_seconds" {
      // Its own timestamp says when it was asked, not when the use was read.
      var changed = point ?? UsagePoint(time: 0, cpu: 0, memory: 0)
      set(&changed)
      point = changed
    } else {
      change(&point, entry, set)
    }
    pods[key, default: [:]][container] = point
  }
}

/// One line of Prometheus' text form: `name{label="value",…} value timestamp`.
struct MetricLine {
  var name = ""
  var labels: [String: String] = [:]
  var value = 0.0
  /// Milliseconds since 1970; 0 where the line has none.
  var timestamp: Int64 = 0

  init?(_ line: some Collection<UInt8>) {
    var rest = Array(line)[...]
    let name = rest.prefix { $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: " ") }
    guard !name.isEmpty else { return nil }
    self.name = String(decoding: name, as: UTF8.self)
    rest = rest[name.endIndex...]
    if rest.first == UInt8(ascii: "{") {
      rest.removeFirst()
      while let first = rest.first, first != UInt8(ascii: "}") {
        let key = rest.prefix { $0 != UInt8(ascii: "=") }
        rest = rest[key.endIndex...].dropFirst()
        guard rest.first == UInt8(ascii: "\"") else { return nil }
        rest.removeFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
          guard byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() else {
            text.append(byte)
            continue
          }
          text.append(escaped == UInt8(ascii: "n") ? 10 : escaped)
        }
        labels[String(decoding: key, as: UTF8.self)] = String(decoding: text, as: UTF8.self)
        if rest.first == UInt8(ascii: ",") { rest.removeFirst() }
      }
      guard rest.popFirst() == UInt8(ascii: "}") else { return nil }
    }
    let numbers = rest.split(separator: UInt8(ascii: " "))
    guard let first = numbers.first, let value = Double(String(decoding: first, as: UTF8.self)), value.isFinite,
      abs(value) < 9e18
    else { return nil }
    self.value = value
    if numbers.count > 1 { timestamp = Int64(String(decoding: numbers[1], as: UTF8.self)) ?? 0 }
  }
}
