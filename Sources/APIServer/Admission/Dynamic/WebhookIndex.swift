import API
import APIMachinery
import APIMeta
import Synchronization

/// What both kinds of webhook say in their configurations.
protocol ConfiguredWebhook {
  var name: String { get }
  var rules: [RuleWithOperations] { get }
  var matchPolicy: String? { get }
  var namespaceSelector: LabelSelector? { get }
  var objectSelector: LabelSelector? { get }
  var matchConditions: [MatchCondition] { get }
  var clientConfig: WebhookClientConfig { get }
  var admissionReviewVersions: [String] { get }
  var failurePolicy: String? { get }
  var sideEffects: String? { get }
  var timeoutSeconds: Int32? { get }
}

extension MutatingWebhook: ConfiguredWebhook {}
extension ValidatingWebhook: ConfiguredWebhook {}

/// A webhook of a configuration, ready to be asked.
struct AdmissionWebhook: Sendable {
  let configuration: String
  let name: String
  let match: AdmissionMatch
  let conditions: MatchConditions
  let endpoint: WebhookEndpoint
  let versions: [String]
  /// Whether the request goes on when the webhook cannot be asked.
  let ignoresFailure: Bool
  let toleratesDryRun: Bool
  let timeout: Duration
  /// Mutating only: whether it wants to see what later ones have changed.
  let reinvokes: Bool

  init(_ webhook: some ConfiguredWebhook, of configuration: String) throws {
    self.configuration = configuration
    name = webhook.name
    match = try AdmissionMatch(
      rules: webhook.rules, matchPolicy: webhook.matchPolicy, namespaceSelector: webhook.namespaceSelector,
      objectSelector: webhook.objectSelector)
    conditions = Self.conditions(webhook.matchConditions)
    endpoint = WebhookEndpoint(webhook.clientConfig)
    versions = webhook.admissionReviewVersions
    ignoresFailure = webhook.failurePolicy == "Ignore"
    toleratesDryRun = Self.toleratesDryRun(webhook.sideEffects)
    timeout = .seconds(Int64(webhook.timeoutSeconds ?? 10))
    reinvokes = (webhook as? MutatingWebhook)?.reinvocationPolicy == "IfNeeded"
  }

  private static func conditions(_ conditions: [MatchCondition]) -> MatchConditions {
    MatchConditions(conditions, AdmissionExpressions(.authorizer))
  }

  private static func toleratesDryRun(_ sideEffects: String?) -> Bool {
    sideEffects == "None" || sideEffects == "NoneOnDryRun"
  }
}

/// The webhooks of all configurations, by the names of these and then in their order.
final class WebhookIndex: Sendable {
  private struct State {
    var mutating: [String: [AdmissionWebhook]] = [:]
    var validating: [String: [AdmissionWebhook]] = [:]
    var mutatingList: [AdmissionWebhook] = []
    var validatingList: [AdmissionWebhook] = []
  }
  private let state = Mutex(State())

  var mutating: [AdmissionWebhook] { state.withLock { $0.mutatingList } }
  var validating: [AdmissionWebhook] { state.withLock { $0.validatingList } }

  func followMutating(_ registry: Registry) {
    registry.subscribe(
      MutatingWebhookConfiguration.self, initial: { $0.forEach(set) },
      handler: { change in
        switch change {
        case .added(let new), .updated(_, let new): self.set(new)
        case .deleted(let old): self.setMutating(old.metadata.name, nil)
        }
      })
  }

  func followValidating(_ registry: Registry) {
    registry.subscribe(
      ValidatingWebhookConfiguration.self, initial: { $0.forEach(set) },
      handler: { change in
        switch change {
        case .added(let new), .updated(_, let new): self.set(new)
        case .deleted(let old): self.setValidating(old.metadata.name, nil)
        }
      })
  }

  // A configuration is checked when it is written: one that cannot be read has no webhooks.

  private func set(_ configuration: MutatingWebhookConfiguration) {
    let name = configuration.metadata.name
    setMutating(name, configuration.webhooks.compactMap { try? AdmissionWebhook($0, of: name) })
  }

  private func set(_ configuration: ValidatingWebhookConfiguration) {
    let name = configuration.metadata.name
    setValidating(name, configuration.webhooks.compactMap { try? AdmissionWebhook($0, of: name) })
  }

  private func setMutating(_ name: String, _ webhooks: [AdmissionWebhook]?) {
    state.withLock { state in
      state.mutating[name] = webhooks
      state.mutatingList = Self.ordered(state.mutating)
    }
  }

  private func setValidating(_ name: String, _ webhooks: [AdmissionWebhook]?) {
    state.withLock { state in
      state.validating[name] = webhooks
      state.validatingList = Self.ordered(state.validating)
    }
  }

  private static func ordered(_ all: [String: [AdmissionWebhook]]) -> [AdmissionWebhook] {
    all.sorted { $0.key < $1.key }.flatMap(\.value)
  }
}
