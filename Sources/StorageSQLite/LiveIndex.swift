internal import Storage

/// The live keys in byte order: a sorted list of sorted chunks.
///
/// An insert moves at most one chunk, a look-up is two binary searches, and a copy of the whole index costs one
/// reference. Readers take such a copy under the lock and walk it outside; the writer then copies only the chunks
/// it changes.
struct LiveIndex: Sendable {
  private static let chunkLimit = 256
  private static let mergeBelow = 64

  private var chunks: [[StoredValue]] = []
  private(set) var count = 0

  init() {}

  /// Takes values that are already sorted by key, without duplicates.
  init(sorted: [StoredValue]) {
    count = sorted.count
    let fill = Self.chunkLimit * 3 / 4
    chunks.reserveCapacity(sorted.count / fill + 1)
    var start = 0
    while start < sorted.count {
      let end = min(start + fill, sorted.count)
      chunks.append(Array(sorted[start..<end]))
      start = end
    }
  }

  subscript(key: String) -> StoredValue? {
    guard let chunk = chunk(for: key) else { return nil }
    let position = Self.lowerBound(chunks[chunk], key)
    guard position < chunks[chunk].count, chunks[chunk][position].key == key else { return nil }
    return chunks[chunk][position]
  }

  mutating func set(_ value: StoredValue) {
    guard let chunk = chunk(for: value.key) else {
      chunks.append([value])
      count = 1
      return
    }
    let position = Self.lowerBound(chunks[chunk], value.key)
    if position < chunks[chunk].count, chunks[chunk][position].key == value.key {
      chunks[chunk][position] = value
      return
    }
    chunks[chunk].insert(value, at: position)
    count += 1
    if chunks[chunk].count > Self.chunkLimit { split(chunk, appended: position == chunks[chunk].count - 1) }
  }

  mutating func remove(_ key: String) {
    guard let chunk = chunk(for: key) else { return }
    let position = Self.lowerBound(chunks[chunk], key)
    guard position < chunks[chunk].count, chunks[chunk][position].key == key else { return }
    chunks[chunk].remove(at: position)
    count -= 1
    if chunks[chunk].isEmpty {
      chunks.remove(at: chunk)
    } else if chunks[chunk].count < Self.mergeBelow {
      mergeAround(chunk)
    }
  }

  /// The values whose key starts with `prefix` and is greater than `after`, at most `limit`; whether some were left.
  func page(prefix: String, after: String?, limit: Int?) -> (items: [StoredValue], more: Bool) {
    var items: [StoredValue] = []
    var from = prefix
    var inclusive = true
    if let after, after >= prefix {
      from = after
      inclusive = false
    }
    guard var chunk = chunk(for: from) else { return ([], false) }
    var position = Self.lowerBound(chunks[chunk], from)
    if !inclusive, position < chunks[chunk].count, chunks[chunk][position].key == from { position += 1 }
    while chunk < chunks.count {
      let values = chunks[chunk]
      // Whole chunks inside the prefix are the common case of a long list: test the ends only.
      let inside =
        limit == nil && position < values.count && values[position].key.hasPrefix(prefix)
        && values[values.count - 1].key.hasPrefix(prefix)
      if inside {
        items.append(contentsOf: values[position...])
      } else {
        for value in values[position...] {
          guard value.key.hasPrefix(prefix) else { return (items, false) }
          if let limit, items.count >= limit { return (items, true) }
          items.append(value)
        }
      }
      chunk += 1
      position = 0
    }
    return (items, false)
  }

  /// The chunk a key belongs to: the last one that does not start after it, or the first.
  private func chunk(for key: String) -> Int? {
    guard !chunks.isEmpty else { return nil }
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if chunks[middle][0].key <= key { low = middle + 1 } else { high = middle }
    }
    return max(low - 1, 0)
  }

  private static func lowerBound(_ values: [StoredValue], _ key: String) -> Int {
    var low = 0
    var high = values.count
    while low < high {
      let middle = (low + high) / 2
      if values[middle].key < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Keys that arrive in order leave full chunks behind, others half full ones.
  private mutating func split(_ chunk: Int, appended: Bool) {
    let values = chunks[chunk]
    let cut = appended ? values.count - 1 : values.count / 2
    chunks[chunk] = Array(values[..<cut])
    chunks.insert(Array(values[cut...]), at: chunk + 1)
  }

  private mutating func mergeAround(_ chunk: Int) {
    for left in [chunk - 1, chunk] where left >= 0 && left + 1 < chunks.count {
      guard chunks[left].count + chunks[left + 1].count <= Self.chunkLimit / 2 else { continue }
      chunks[left] += chunks[left + 1]
      chunks.remove(at: left + 1)
      return
    }
  }
}
