/// A sorted map from string keys to values in chunks of bounded size.
///
/// A copy shares every chunk (copy on write), so a list takes its snapshot in the time it takes to copy a
/// short array, and a later write copies one chunk at most.
struct OrderedChunks<Value: Sendable>: Sendable {
  struct Entry: Sendable {
    let key: String
    var value: Value
  }

  private static var limit: Int { 256 }
  private var chunks: [[Entry]] = []
  private(set) var count = 0

  init() {}

  /// Builds from entries sorted by key.
  init(sorted entries: [Entry]) {
    var start = 0
    let size = Self.limit / 2
    while start < entries.count {
      let end = min(entries.count, start + size)
      chunks.append(Array(entries[start..<end]))
      start = end
    }
    count = entries.count
  }

  /// The index of the chunk that holds or would hold `key`.
  private func chunkIndex(_ key: String) -> Int {
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle][0].key <= key { low = middle + 1 } else { high = middle }
    }
    return max(0, low - 1)
  }

  private static func position(_ chunk: [Entry], _ key: String) -> Int {
    var low = 0
    var high = chunk.count
    while low < high {
      let middle = (low + high) / 2
      if chunk[middle].key < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  subscript(key: String) -> Value? {
    guard !chunks.isEmpty else { return nil }
    let chunk = chunks[chunkIndex(key)]
    let at = Self.position(chunk, key)
    return at < chunk.count && chunk[at].key == key ? chunk[at].value : nil
  }

  @discardableResult
  mutating func update(_ key: String, _ value: Value) -> Value? {
    guard !chunks.isEmpty else {
      chunks.append([Entry(key: key, value: value)])
      count = 1
      return nil
    }
    let index = chunkIndex(key)
    let at = Self.position(chunks[index], key)
    if at < chunks[index].count, chunks[index][at].key == key {
      let old = chunks[index][at].value
      chunks[index][at].value = value
      return old
    }
    chunks[index].insert(Entry(key: key, value: value), at: at)
    count += 1
    if chunks[index].count > Self.limit {
      let half = chunks[index].count / 2
      let tail = Array(chunks[index][half...])
      chunks[index].removeSubrange(half...)
      chunks.insert(tail, at: index + 1)
    }
    return nil
  }

  @discardableResult
  mutating func remove(_ key: String) -> Value? {
    guard !chunks.isEmpty else { return nil }
    let index = chunkIndex(key)
    let at = Self.position(chunks[index], key)
    guard at < chunks[index].count, chunks[index][at].key == key else { return nil }
    let old = chunks[index].remove(at: at).value
    count -= 1
    if chunks[index].isEmpty { chunks.remove(at: index) }
    return old
  }

  /// Calls `body` for every entry whose key starts with `prefix` and is greater than `after`, in order,
  /// until it returns false.
  func forEach(prefix: String, after: String? = nil, _ body: (String, Value) throws -> Bool) rethrows {
    guard !chunks.isEmpty else { return }
    let from = after.map { $0 > prefix ? $0 : prefix } ?? prefix
    var index = chunkIndex(from)
    var at = Self.position(chunks[index], from)
    while index < chunks.count {
      let chunk = chunks[index]
      // Between two keys with a prefix there are none without it.
      let inside =
        prefix.isEmpty
        || at < chunk.count && chunk[at].key.utf8.starts(with: prefix.utf8)
          && chunk[chunk.count - 1].key.utf8.starts(with: prefix.utf8)
      while at < chunk.count {
        let entry = chunk[at]
        at += 1
        if after != nil, entry.key == after { continue }
        guard inside || entry.key.utf8.starts(with: prefix.utf8) else {
          if entry.key > prefix { return }
          continue
        }
        if try !body(entry.key, entry.value) { return }
      }
      index += 1
      at = 0
    }
  }
}
