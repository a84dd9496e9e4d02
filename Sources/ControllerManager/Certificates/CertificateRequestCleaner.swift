import API
import APIMachinery
import Client
import Logging
import PKI

/// Deletes certificate requests that have served their purpose, or never will.
final class CertificateRequestCleaner: Controller {
  let name = "certificatesigningrequest-cleaner-controller"
  private static let interval: Duration = .seconds(3600)
  /// How long what is approved, denied or failed is kept.
  private static let decided: Int64 = 3600
  /// How long what nobody has decided about is kept.
  private static let pending: Int64 = 24 * 3600

  private let client: APIClient
  private let requests: Informer<CertificateSigningRequest>
  private let logger: Logger
  private let now: @Sendable () -> Time

  init(_ context: ControllerContext) {
    client = context.client
    requests = context.informers.informer(CertificateSigningRequest.self)
    logger = context.logger(name)
    now = context.now
  }

  func run() async throws {
    try await requests.waitForSync()
    while !Task.isCancelled {
      for request in requests.lister.list() where Self.isOver(request, now: now()) {
        do {
          try await ignoringNotFound {
            try await client.delete(CertificateSigningRequest.self, name: request.metadata.name)
          }
        } catch {
          logger.debug("\(request.metadata.name): \(error)")
        }
      }
      try await Task.sleep(for: Self.interval)
    }
  }

  /// Whether a request is to be deleted: pure.
  static func isOver(_ request: CertificateSigningRequest, now: Time) -> Bool {
    let age = now.seconds(since: request.metadata.creationTimestamp)
    let conditions = request.status.conditions
    if conditions.isEmpty { return age > pending }
    if !request.status.certificate.isEmpty, conditions.isTrue("Approved"),
      let certificate = try? CertificateInfo(pem: request.status.certificate.string), certificate.notAfter < now
    {
      return true
    }
    return conditions.contains { condition in
      guard ["Approved", "Denied", "Failed"].contains(condition.type) else { return false }
      return now.seconds(since: condition.lastUpdateTime) > decided
    }
  }
}
