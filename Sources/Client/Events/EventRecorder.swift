public import API
import APIMachinery
import Logging
import Synchronization

/// Tells users what happened to an object. Calls return at once; one task writes the events, in order, and gives
/// up on those the server does not want.
public struct EventRecorder: Sendable {
  private let writer: EventWriter
  private let component: String
  private let host: String

  /// Makes a recorder for a component on a host ("" when it is not bound to a node).
  public init(client: APIClient, component: String, host: String = "") {
    writer = EventWriter(client: client)
    self.component = component
    self.host = host
  }

  /// Records an event about an object. `type` is "Normal" or "Warning".
  public func event(_ object: some APIObject, type: String, reason: String, message: String) {
    event(reference(to: object), type: type, reason: reason, message: message)
  }

  /// Records an event about something known only by reference, or about a part of an object.
  public func event(
    _ object: ObjectReference, type: String, reason: String, message: String, action: String = "",
    related: ObjectReference? = nil
  ) {
    writer.record(
      EventCorrelator.Observation(
        type: type, reason: reason, message: message, object: object, component: component, host: host,
        action: action, related: related))
  }

  /// Waits until everything recorded so far was written or given up.
  public func flush() async { await writer.flush() }

  private func reference<T: APIObject>(to object: T) -> ObjectReference {
    var reference = ObjectReference()
    reference.kind = T.kind
    reference.apiVersion = T.apiVersion
    reference.namespace = object.metadata.namespace
    reference.name = object.metadata.name
    reference.uid = object.metadata.uid
    reference.resourceVersion = object.metadata.resourceVersion
    return reference
  }
}

/// The task behind a recorder, and its queue.
private final class EventWriter: Sendable {
  private enum Item: Sendable {
    case event(EventCorrelator.Observation, Time)
    case barrier(CheckedContinuation<Void, Never>)
  }

  private let items: AsyncStream<Item>.Continuation
  private let task: Task<Void, Never>

  init(client: APIClient) {
    // As client-go: when a thousand wait, further ones are dropped.
    let (stream, continuation) = AsyncStream<Item>.makeStream(bufferingPolicy: .bufferingOldest(1000))
    items = continuation
    // Recording must not wait for the server; the task lives as long as the recorder, which ends it.
    task = Task {
      var correlator = EventCorrelator()
      for await item in stream {
        switch item {
        case .event(let seen, let time): await Self.write(seen, time, client, &correlator)
        case .barrier(let continuation): continuation.resume()
        }
      }
    }
  }

  deinit {
    items.finish()
  }

  func record(_ seen: EventCorrelator.Observation) {
    items.yield(.event(seen, .now))
  }

  func flush() async {
    await withCheckedContinuation { continuation in
      switch items.yield(.barrier(continuation)) {
      case .enqueued: break
      default: continuation.resume()
      }
    }
  }

  private static func write(
    _ seen: EventCorrelator.Observation, _ now: Time, _ client: APIClient, _ correlator: inout EventCorrelator
  ) async {
    let (key, decision) = correlator.observe(seen, at: now, suffix: suffix())
    for attempt in 0..<12 {
      do {
        switch decision {
        case .drop: return
        case .create(let record): try await create(seen, record, client)
        case .patch(let record):
          do {
            try await patch(seen, record, client)
          } catch let error as StatusError where error.code == 404 {
            try await create(seen, record, client)
          }
        }
        return
      } catch is StatusError {
        // The server understood and said no (namespace going away, forbidden): saying it again will not help.
        correlator.forget(key)
        return
      } catch {
        let delay = attempt == 0 ? Double.random(in: 0..<10) : 10
        do { try await Task.sleep(for: .seconds(delay)) } catch { return }
      }
    }
  }

  private static func create(
    _ seen: EventCorrelator.Observation, _ record: EventCorrelator.Record, _ client: APIClient
  ) async throws {
    var event = Event()
    event.metadata.name = record.name
    event.metadata.namespace = namespace(seen)
    event.involvedObject = seen.object
    event.related = seen.related
    event.action = seen.action
    event.reason = seen.reason
    event.message = record.message
    event.type = seen.type
    event.count = record.count
    event.firstTimestamp = record.first
    event.lastTimestamp = record.last
    event.source.component = seen.component
    event.source.host = seen.host
    event.reportingComponent = seen.component
    event.reportingInstance = seen.host
    try await client.create(event)
  }

  private static func patch(
    _ seen: EventCorrelator.Observation, _ record: EventCorrelator.Record, _ client: APIClient
  ) async throws {
    let change = JSONValue.object([
      "count": .int(Int64(record.count)), "lastTimestamp": .string(record.last.description),
      "message": .string(record.message),
    ])
    try await client.patch(
      Event.self, namespace: namespace(seen), name: record.name, .strategic(change.encoded()))
  }

  private static func namespace(_ seen: EventCorrelator.Observation) -> String {
    seen.object.namespace.isEmpty ? "default" : seen.object.namespace
  }

  /// Nanoseconds since 1970 in hexadecimal, as client-go names events.
  private static func suffix() -> String {
    String(UInt64(Time.now.seconds) * 1_000_000_000 + UInt64.random(in: 0..<1_000_000_000), radix: 16)
  }
}
