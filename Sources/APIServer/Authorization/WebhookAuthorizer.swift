import APIMachinery
import Logging

/// Asks a webhook who may do what.
final class WebhookAuthorizer: Sendable {
  /// How one webhook is asked.
  struct Settings: Sendable {
    var authorizedTTL = Duration.seconds(300)
    var unauthorizedTTL = Duration.seconds(30)
    var cachesAuthorized = true
    var cachesUnauthorized = true
    /// What is decided where the webhook cannot be asked.
    var onError = AuthorizationDecision.noOpinion
    var conditions = AccessConditions()
  }

  let name: String
  private let webhook: ReviewWebhook
  private let settings: Settings
  private let logger: Logger
  private let known = OutcomeCache<AccessMemo.Question, AccessAnswer>()
  /// Longer questions are not remembered: somebody else chose their length.
  private static let maxCachedQuestion = 10_000

  init(name: String = "", _ webhook: ReviewWebhook, _ settings: Settings, logger: Logger) {
    self.name = name
    self.webhook = webhook
    self.settings = settings
    self.logger = logger
  }

  /// The answer where the webhook need not be asked; nil where it must be.
  func answerNow(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> AccessAnswer? {
    if !settings.conditions.isEmpty {
      switch settings.conditions.evaluate(AccessReview.spec(user, attributes)) {
      case .matches: break
      case .fails: return AccessAnswer(decision: .noOpinion)
      case .error(let text): return AccessAnswer(decision: settings.onError, error: text)
      }
    }
    return known.find(AccessMemo.Question(user: user, attributes: attributes))
  }

  func answer(_ user: UserInfo, _ attributes: AuthorizationAttributes) async -> AccessAnswer {
    if let known = answerNow(user, attributes) { return known }
    guard Self.isCached(attributes) else { return await ask(user, attributes) }
    return await known.value(AccessMemo.Question(user: user, attributes: attributes)) { [settings] answer in
      if answer.error != nil { return nil }
      if answer.decision == .allowed { return settings.cachesAuthorized ? settings.authorizedTTL : nil }
      return settings.cachesUnauthorized ? settings.unauthorizedTTL : nil
    } ask: { [self] in
      await ask(user, attributes)
    }
  }

  private static func isCached(_ a: AuthorizationAttributes) -> Bool {
    let texts = [a.namespace, a.verb, a.apiGroup, a.apiVersion, a.resource, a.subresource, a.name, a.path]
    if a.fieldSelector.utf8.count + a.labelSelector.utf8.count >= maxCachedQuestion { return false }
    return texts.reduce(0) { $0 + $1.utf8.count } < maxCachedQuestion
  }

  private func ask(_ user: UserInfo, _ attributes: AuthorizationAttributes) async -> AccessAnswer {
    do {
      return AccessReview.answer(try await webhook.ask(AccessReview.spec(user, attributes)))
    } catch {
      logger.error("Failed to make webhook authorizer request", metadata: ["error": "\(error)"])
      return AccessAnswer(decision: settings.onError, error: "\(error)")
    }
  }

  func shutdown() async { await webhook.shutdown() }
}

/// A SubjectAccessReview as a webhook and the conditions see it.
enum AccessReview {
  static func spec(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> JSONValue {
    var spec: [String: JSONValue] = [:]
    func set(_ fields: inout [String: JSONValue], _ name: String, _ value: String) {
      if !value.isEmpty { fields[name] = .string(value) }
    }
    set(&spec, "user", user.name)
    set(&spec, "uid", user.uid)
    if !user.groups.isEmpty { spec["groups"] = .array(user.groups.map { .string($0) }) }
    if !user.extra.isEmpty {
      spec["extra"] = .object(user.extra.mapValues { .array($0.map { .string($0) }) })
    }
    var fields: [String: JSONValue] = [:]
    set(&fields, "verb", attributes.verb)
    if attributes.isResource {
      set(&fields, "namespace", attributes.namespace)
      set(&fields, "group", attributes.apiGroup)
      set(&fields, "version", attributes.apiVersion)
      set(&fields, "resource", attributes.resource)
      set(&fields, "subresource", attributes.subresource)
      set(&fields, "name", attributes.name)
      if let fieldSelector = attributes.selectors.fieldsForReview {
        fields["fieldSelector"] = .object(["requirements": fieldSelector])
      }
      if let labelSelector = attributes.selectors.labelsForReview {
        fields["labelSelector"] = .object(["requirements": labelSelector])
      }
      spec["resourceAttributes"] = .object(fields)
    } else {
      set(&fields, "path", attributes.path)
      spec["nonResourceAttributes"] = .object(fields)
    }
    return .object(spec)
  }

  /// Reads the status of an answer.
  static func answer(_ status: JSONValue) -> AccessAnswer {
    let reason = status["reason"]?.stringValue ?? ""
    switch (status["allowed"]?.boolValue ?? false, status["denied"]?.boolValue ?? false) {
    case (true, true):
      return AccessAnswer(
        decision: .denied, reason: reason,
        error: "webhook subject access review returned both allow and deny response")
    case (_, true): return AccessAnswer(decision: .denied, reason: reason)
    case (true, _): return AccessAnswer(decision: .allowed, reason: reason)
    default: return AccessAnswer(decision: .noOpinion, reason: reason)
    }
  }
}
