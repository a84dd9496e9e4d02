import API
import APIMachinery

/// Decides what becomes of an event: a new object, one more count on an old one, or nothing.
///
/// As client-go does: per source and object a token bucket of 25 that refills once in five minutes stops spam;
/// more than ten events that differ only in their message within ten minutes become one "combined" event; an
/// event that is the same as an earlier one raises its count. No clock, no I/O.
struct EventCorrelator: Sendable {
  struct Observation: Sendable {
    var type: String
    var reason: String
    var message: String
    var object: ObjectReference
    var component: String
    var host: String
    var action = ""
    var related: ObjectReference?
  }

  enum Decision: Sendable, Equatable {
    /// Write a new event.
    case create(Record)
    /// Patch the event known under that name.
    case patch(Record)
    /// Say nothing.
    case drop
  }

  /// What is known of an event that was written.
  struct Record: Sendable, Equatable {
    var name: String
    var count: Int32
    var first: Time
    var last: Time
    var message: String
  }

  struct Key: Hashable, Sendable {
    var source: String
    var object: String
    var type: String
    var reason: String
    var message: String
  }

  private struct Bucket {
    var tokens: Double
    var updated: Int64
  }

  private struct Aggregate {
    var messages: Set<String>
    var last: Int64
  }

  static let maxSimilar = 10
  static let similarInterval: Int64 = 600
  static let burst = 25.0
  static let refillPerSecond = 1.0 / 300
  static let capacity = 4096

  private var buckets: [Key: Bucket] = [:]
  private var aggregates: [Key: Aggregate] = [:]
  private var records: [Key: Record] = [:]

  /// Takes an observation at a time; `suffix` makes a new event's name.
  mutating func observe(_ seen: Observation, at now: Time, suffix: @autoclosure () -> String) -> (Key, Decision) {
    trim(now)
    let base = Key(
      source: "\(seen.component)/\(seen.host)",
      object: [
        seen.object.kind, seen.object.namespace, seen.object.name, seen.object.uid, seen.object.apiVersion,
        seen.object.fieldPath,
      ].joined(separator: "/"),
      type: "", reason: "", message: "")

    var similar = base
    similar.type = seen.type
    similar.reason = seen.reason
    var aggregate = aggregates[similar] ?? Aggregate(messages: [], last: now.seconds)
    if now.seconds - aggregate.last > Self.similarInterval { aggregate.messages = [] }
    aggregate.messages.insert(seen.message)
    aggregate.last = now.seconds
    var message = seen.message
    var key = similar
    key.message = message
    if aggregate.messages.count >= Self.maxSimilar {
      // One key for all of them, and a set that does not grow without end.
      if aggregate.messages.count > Self.maxSimilar, let some = aggregate.messages.first {
        aggregate.messages.remove(some)
      }
      message = "(combined from similar events): " + seen.message
      key.message = "(combined)"
    }
    aggregates[similar] = aggregate

    let decision: Decision
    if var record = records[key] {
      record.count += 1
      record.last = now
      record.message = message
      records[key] = record
      decision = .patch(record)
    } else {
      let record = Record(
        name: "\(seen.object.name).\(suffix())", count: 1, first: now, last: now, message: message)
      records[key] = record
      decision = .create(record)
    }
    return (key, takeToken(base, now) ? decision : .drop)
  }

  /// The server no longer has the event: the next one is written anew.
  mutating func forget(_ key: Key) { records[key] = nil }

  private mutating func takeToken(_ key: Key, _ now: Time) -> Bool {
    var bucket = buckets[key] ?? Bucket(tokens: Self.burst, updated: now.seconds)
    bucket.tokens = min(Self.burst, bucket.tokens + Double(now.seconds - bucket.updated) * Self.refillPerSecond)
    bucket.updated = now.seconds
    defer { buckets[key] = bucket }
    guard bucket.tokens >= 1 else { return false }
    bucket.tokens -= 1
    return true
  }

  /// Keeps each memory below its capacity by dropping what was not heard of for longest.
  private mutating func trim(_ now: Time) {
    if records.count > Self.capacity {
      let cut = records.values.map(\.last.seconds).sorted()[records.count / 2]
      records = records.filter { $0.value.last.seconds > cut }
    }
    if buckets.count > Self.capacity {
      let cut = buckets.values.map(\.updated).sorted()[buckets.count / 2]
      buckets = buckets.filter { $0.value.updated > cut }
    }
    if aggregates.count > Self.capacity {
      let cut = aggregates.values.map(\.last).sorted()[aggregates.count / 2]
      aggregates = aggregates.filter { $0.value.last > cut }
    }
  }
}
