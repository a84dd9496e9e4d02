import Storage
import Testing

@testable import StorageSQLite

@Suite struct LiveIndexTests {
  private func value(_ key: String, _ revision: Revision) -> StoredValue {
    StoredValue(key: key, value: [], createRevision: revision, modRevision: revision)
  }

  /// Against a dictionary, with a fixed pseudo-random walk of inserts, updates and removes.
  @Test func agreesWithADictionary() {
    var index = LiveIndex()
    var model: [String: Revision] = [:]
    var seed: UInt64 = 42
    func next(_ bound: UInt64) -> UInt64 {
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (seed >> 33) % bound
    }
    for step in 1...20_000 {
      let growing = step % 8000 < 5000
      let key = "/registry/\(next(3))/\(next(2000))"
      if next(10) < (growing ? 8 : 2) {
        index.set(value(key, Revision(step)))
        model[key] = Revision(step)
      } else {
        index.remove(key)
        model[key] = nil
      }
    }
    #expect(index.count == model.count)
    let all = index.page(prefix: "", after: nil, limit: nil).items
    #expect(all.map(\.key) == model.keys.sorted())
    #expect(all.allSatisfy { model[$0.key] == $0.modRevision })
    for prefix in ["/registry/1/", "/registry/1/19", "/registry/9"] {
      let expected = model.keys.filter { $0.hasPrefix(prefix) }.sorted()
      #expect(index.page(prefix: prefix, after: nil, limit: nil).items.map(\.key) == expected)
      var paged: [String] = []
      var page = index.page(prefix: prefix, after: nil, limit: 7)
      paged += page.items.map(\.key)
      while page.more {
        page = index.page(prefix: prefix, after: paged.last, limit: 7)
        paged += page.items.map(\.key)
      }
      #expect(paged == expected)
    }
    for key in model.keys.prefix(500) { #expect(index[key]?.modRevision == model[key]) }
    #expect(index["/registry/1/x"] == nil)
  }

  @Test func copiesDoNotChange() {
    var index = LiveIndex(sorted: (0..<1000).map { value("/k/\(10_000 + $0)", Revision($0)) })
    let copy = index
    for number in 0..<1000 where number % 2 == 0 { index.remove("/k/\(10_000 + number)") }
    index.set(value("/k/10001", 5000))
    #expect(index.count == 500)
    let kept = copy.page(prefix: "/k/", after: nil, limit: nil).items.map(\.modRevision)
    #expect(kept == (0..<1000).map { Revision($0) })
  }

  @Test func expiriesComeInOrder() {
    var heap = ExpiryHeap()
    for number in [5, 3, 9, 1, 7, 3, 8] {
      heap.insert(ExpiryHeap.Entry(milliseconds: Int64(number), key: "\(number)", revision: 1))
    }
    var found: [Int64] = []
    while let entry = heap.popFirst() { found.append(entry.milliseconds) }
    #expect(found == [1, 3, 3, 5, 7, 8, 9])
  }
}
