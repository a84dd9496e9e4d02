import APIMachinery
import Logging

/// Asks a webhook who tokens stand for.
final class WebhookTokenAuthenticator: TokenAuthenticator {
  private let webhook: ReviewWebhook
  private let audiences: [String]
  private let lifetime: Duration
  private let logger: Logger
  private let known = OutcomeCache<TokenKey, TokenResult>()

  /// `audiences`: whom a token is for of which the webhook does not say so.
  init(_ webhook: ReviewWebhook, audiences: [String], lifetime: Duration, logger: Logger) {
    self.webhook = webhook
    self.audiences = audiences
    self.lifetime = lifetime
    self.logger = logger
  }

  func authenticate(token: String, audiences: [String]) -> TokenResult? { known.find(TokenKey(token, audiences)) }

  func find(token: String, audiences wanted: [String]) async -> TokenResult {
    await known.value(TokenKey(token, wanted)) { [lifetime] result in
      // What could not be asked is asked again.
      if case .failed = result { nil } else { lifetime }
    } ask: { [self] in
      await ask(token, wanted)
    }
  }

  private func ask(_ token: String, _ wanted: [String]) async -> TokenResult {
    var spec: [String: JSONValue] = ["token": .string(token)]
    if !wanted.isEmpty { spec["audiences"] = .array(wanted.map { .string($0) }) }
    do {
      return Self.result(try await webhook.ask(.object(spec)), wanted: wanted, own: audiences)
    } catch {
      logger.error("Failed to make webhook authenticator request", metadata: ["error": "\(error)"])
      return .failed("\(error)")
    }
  }

  /// Reads the status of a TokenReview.
  static func result(_ status: JSONValue, wanted: [String], own: [String]) -> TokenResult {
    func texts(_ value: JSONValue?) -> [String] { (value?.arrayValue ?? []).compactMap(\.stringValue) }
    guard status["authenticated"]?.boolValue == true else {
      let problem = status["error"]?.stringValue ?? ""
      return problem.isEmpty ? .absent : .failed(problem)
    }
    let named = texts(status["audiences"])
    let shared = wanted.filter((named.isEmpty ? own : named).contains)
    if shared.isEmpty, !wanted.isEmpty { return .absent }
    let described = status["user"]
    let extra = (described?["extra"]?.objectValue ?? [:]).mapValues { texts($0) }
    return .user(
      UserInfo(
        name: described?["username"]?.stringValue ?? "", uid: described?["uid"]?.stringValue ?? "",
        groups: texts(described?["groups"]), extra: extra), audiences: shared)
  }

  func shutdown() async { await webhook.shutdown() }
}
