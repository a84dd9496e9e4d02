internal import Storage

/// The last events, found by revision: one write takes one revision, so the place in the ring follows from it.
struct EventRing: Sendable {
  private var slots: [StorageEvent?]
  /// The revision of the newest event, 0 when there is none.
  private var newest: Revision = 0
  private var filled = 0

  init(capacity: Int) {
    slots = Array(repeating: nil, count: max(capacity, 1))
  }

  mutating func append(_ event: StorageEvent) {
    // Revisions are consecutive; after a gap (there is none in a healthy store) the older part is worth nothing.
    if newest != 0, event.revision != newest + 1 { filled = 0 }
    newest = event.revision
    slots[Int(newest % UInt64(slots.count))] = event
    filled = min(filled + 1, slots.count)
  }

  /// The events in `after..<=through`, nil when the ring no longer has all of them.
  func events(after: Revision, through: Revision) -> [StorageEvent]? {
    if after >= through { return [] }
    guard newest >= through, after + UInt64(filled) >= newest else { return nil }
    var found: [StorageEvent] = []
    found.reserveCapacity(Int(through - after))
    for revision in (after + 1)...through {
      guard let event = slots[Int(revision % UInt64(slots.count))] else { return nil }
      found.append(event)
    }
    return found
  }
}
