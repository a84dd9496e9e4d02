import Synchronization

/// Answers many questions for single things with few requests: those that come within a short window go out together,
/// and answers are kept for a while.
actor Batcher<Value: Sendable> {
  private let window: Duration
  private let lifetime: Duration
  private let size: Int
  private let fetch: @Sendable ([String]) async throws -> [String: Value]
  private var kept: [String: (value: Value?, until: ContinuousClock.Instant)] = [:]
  private var waiting: [String: [CheckedContinuation<Value?, any Error>]] = [:]
  private var scheduled = false

  /// `fetch` returns what it finds; no answer for a key means that there is no such thing.
  init(
    window: Duration, lifetime: Duration, size: Int,
    fetch: @escaping @Sendable ([String]) async throws -> [String: Value]
  ) {
    self.window = window
    self.lifetime = lifetime
    self.size = size
    self.fetch = fetch
  }

  /// The thing with a key. `fresh` does not take an answer kept from before.
  func get(_ key: String, fresh: Bool = false) async throws -> Value? {
    if !fresh, let entry = kept[key], ContinuousClock.now < entry.until { return entry.value }
    return try await withCheckedThrowingContinuation { continuation in
      waiting[key, default: []].append(continuation)
      guard !scheduled else { return }
      scheduled = true
      // Not structured: it answers all who ask within the window, not only the one who asked first.
      Task {
        try? await Task.sleep(for: window)
        await flush()
      }
    }
  }

  private func flush() async {
    scheduled = false
    let asked = waiting
    waiting = [:]
    let keys = asked.keys.sorted()
    let now = ContinuousClock.now
    kept = kept.filter { now < $0.value.until }
    for start in stride(from: 0, to: keys.count, by: size) {
      let part = Array(keys[start..<min(start + size, keys.count)])
      do {
        let found = try await fetch(part)
        let until = ContinuousClock.now + lifetime
        for key in part {
          kept[key] = (found[key], until)
          for continuation in asked[key] ?? [] { continuation.resume(returning: found[key]) }
        }
      } catch {
        for key in part { for continuation in asked[key] ?? [] { continuation.resume(throwing: error) } }
      }
    }
  }
}

/// Looks instances up by id and by private DNS name.
struct InstanceLookup: Sendable {
  /// The most values EC2 takes in one filter.
  static let filterLimit = 200
  private let byID: Batcher<EC2Instance>
  private let byName: Batcher<EC2Instance>

  init(ec2: EC2Client, vpc: String?, window: Duration, lifetime: Duration) {
    // A filter, not a list of ids: one id that does not exist would fail the request for all.
    byID = Batcher(window: window, lifetime: lifetime, size: Self.filterLimit) { ids in
      let found = try await ec2.instances([("instance-id", ids)])
      return Dictionary(found.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }
    byName = Batcher(window: window, lifetime: lifetime, size: Self.filterLimit) { names in
      var filters: EC2Client.Filters = [
        ("private-dns-name", names),
        ("instance-state-name", ["pending", "running", "shutting-down", "stopping", "stopped"]),
      ]
      if let vpc { filters.append(("vpc-id", [vpc])) }
      let found = try await ec2.instances(filters)
      return Dictionary(
        found.map { ($0.privateDNSName, $0) },
        uniquingKeysWith: { first, second in first.state == "running" ? first : second })
    }
  }

  func instance(id: String, fresh: Bool = false) async throws -> EC2Instance? {
    try await byID.get(id, fresh: fresh)
  }

  func instance(privateDNSName name: String) async throws -> EC2Instance? { try await byName.get(name) }

  /// The instances with the ids, those that exist; asked for together.
  func instances(ids: [String]) async throws -> [String: EC2Instance] {
    try await withThrowingTaskGroup(of: EC2Instance?.self) { group in
      for id in Set(ids) { group.addTask { try await instance(id: id) } }
      var found: [String: EC2Instance] = [:]
      for try await case let instance? in group { found[instance.id] = instance }
      return found
    }
  }
}
