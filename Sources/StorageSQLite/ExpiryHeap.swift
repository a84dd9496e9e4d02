internal import Storage

/// Keys with a time to live, the earliest first. A key that was written again leaves a stale entry behind; its
/// revision no longer matches when the time comes.
struct ExpiryHeap {
  struct Entry {
    var milliseconds: Int64
    var key: String
    var revision: Revision
  }

  private var entries: [Entry] = []

  var first: Entry? { entries.first }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child].milliseconds < entries[parent].milliseconds else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> Entry? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    guard !entries.isEmpty else { return first }
    entries[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
        if entries[child].milliseconds < entries[least].milliseconds { least = child }
      }
      guard least != parent else { return first }
      entries.swapAt(parent, least)
      parent = least
    }
  }
}
