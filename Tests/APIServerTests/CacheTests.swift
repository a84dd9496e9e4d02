import APIMachinery
import Storage
import Testing

@testable import APIServer

@Suite struct CacheTests {
  @Test func orderedChunksAgreeWithADictionary() {
    var chunks = OrderedChunks<Int>()
    var model: [String: Int] = [:]
    var seed: UInt64 = 7
    for step in 0..<5000 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let key = "k\(seed >> 33 % 700)"
      if seed >> 20 & 3 == 0 {
        #expect(chunks.remove(key) == model.removeValue(forKey: key))
      } else {
        #expect(chunks.update(key, step) == model.updateValue(step, forKey: key))
      }
    }
    #expect(chunks.count == model.count)
    var walked: [String] = []
    chunks.forEach(prefix: "") { key, value in
      #expect(model[key] == value)
      walked.append(key)
      return true
    }
    #expect(walked == model.keys.sorted())
    var part: [String] = []
    chunks.forEach(prefix: "k1", after: "k15") { key, _ in
      part.append(key)
      return true
    }
    #expect(part == model.keys.sorted().filter { $0.hasPrefix("k1") && $0 > "k15" })
  }

  private func value(_ name: String, _ revision: UInt64, _ label: String = "") -> StoredValue {
    let labels = label.isEmpty ? "" : #","labels":{"l":"\#(label)"}"#
    return StoredValue(
      key: "/registry/things/\(name)", value: Array(#"{"metadata":{"name":"\#(name)"\#(labels)}}"#.utf8),
      createRevision: revision, modRevision: revision)
  }

  @Test func slowWatchersAreClosedAndForgotten() async {
    let cache = ResourceCache(prefix: "/registry/things/", index: nil, clock: RevisionClock())
    let watcher = Watcher(predicate: Predicate(), maxItems: 2)
    _ = cache.watch(watcher, from: nil)
    for revision in 1...4 {
      cache.apply(StorageEvent(kind: .put, current: value("n\(revision)", UInt64(revision)), previous: nil))
    }
    let (items, ended) = await watcher.next()
    #expect(items.count == 2)
    #expect(ended)
  }

  @Test func ringGivesWhatHappenedSince() {
    let clock = RevisionClock()
    let cache = ResourceCache(prefix: "/registry/things/", index: nil, clock: clock)
    cache.fill([], revision: 10)
    for revision in 11...13 {
      cache.apply(StorageEvent(kind: .put, current: value("n", UInt64(revision)), previous: nil))
    }
    guard case .events(let events) = cache.watch(Watcher(predicate: Predicate()), from: 11) else {
      Issue.record("no events")
      return
    }
    #expect(events.map(\.revision) == [12, 13])
    guard case .tooOld(let oldest) = cache.watch(Watcher(predicate: Predicate()), from: 9) else {
      Issue.record("9 should be too old")
      return
    }
    #expect(oldest == 10)
  }

  @Test func humanDurationsReadAsUpstream() {
    let cases: [(Int64, String)] = [
      (-5, "<invalid>"), (59, "59s"), (119, "119s"), (120, "2m"), (130, "2m10s"), (660, "11m"), (10_800, "3h"),
      (12_000, "3h20m"), (86_400, "24h"), (180_000, "2d2h"), (8 * 86_400, "8d"), (800 * 86_400, "2y70d"),
    ]
    for (seconds, text) in cases { #expect(humanDuration(seconds) == text) }
  }
}
