import APIMachinery
import HTTP
import Logging
import Synchronization

/// Sends events to a webhook, many at a time (upstream's batch mode).
final class AuditWebhook: AuditBackend {
  private let configuration: WebhookKubeconfig
  private let client: HTTPClient
  private let logger: Logger
  private let held = Mutex<[JSONValue]>([])
  private let maxHeld = 10_000
  private let maxBatch = 400
  private let maxWait: Duration
  private let initialBackoff: Duration

  init(
    _ configuration: WebhookKubeconfig, maxWait: Duration = .seconds(30), initialBackoff: Duration = .seconds(10),
    logger: Logger
  ) {
    self.configuration = configuration
    self.maxWait = maxWait
    self.initialBackoff = initialBackoff
    self.logger = logger
    client = configuration.client(logger: logger)
  }

  func write(_ event: JSONValue) {
    let isFull = held.withLock { events in
      if events.count >= maxHeld { return true }
      events.append(event)
      return false
    }
    if isFull { logger.error("audit webhook: too many events wait, one is lost") }
  }

  func run() async {
    while !Task.isCancelled {
      // A full batch goes at once, others when they have waited long enough.
      var waited = Duration.zero
      while waited < maxWait, !Task.isCancelled, held.withLock({ $0.count }) < maxBatch {
        try? await Task.sleep(for: .milliseconds(100))
        waited += .milliseconds(100)
      }
      await send()
    }
  }

  private func send() async {
    let batch = held.withLock { events in
      let batch = Array(events.prefix(maxBatch))
      events.removeFirst(batch.count)
      return batch
    }
    if batch.isEmpty { return }
    let body = JSONValue.object([
      "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": .object([:]), "items": .array(batch),
    ]).encoded()
    var pause = initialBackoff
    for attempt in 1...4 {
      do {
        let answer = try await client.send(try configuration.request(body, timeout: .seconds(30)))
        if (200..<300).contains(answer.status) { return }
        // What the webhook does not want it will not want later either.
        guard answer.status == 429 || answer.status >= 500 else {
          logger.error("audit webhook answered \(answer.status): \(batch.count) events are lost")
          return
        }
      } catch { logger.warning("audit webhook: \(error)") }
      if attempt < 4 {
        try? await Task.sleep(for: pause)
        pause = pause * 3 / 2
      }
    }
    logger.error("audit webhook: \(batch.count) events are lost")
  }

  func close() async {
    while held.withLock({ !$0.isEmpty }) { await send() }
    await client.shutdown()
  }
}
