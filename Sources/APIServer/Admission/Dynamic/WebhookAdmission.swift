import API
import APIMachinery
import APIMeta
import Logging

/// Asks webhooks whether and with what changes a request may go on.
struct WebhookAdmission: Sendable {
  let registry: Registry
  let warnings: Warnings
  let annotate: @Sendable (String, String) -> Void

  /// What a webhook is asked, if it is asked at all.
  private func question(_ webhook: AdmissionWebhook, _ view: AdmissionView) async throws -> AdmissionView? {
    guard let version = try webhook.match.version(for: view, registry) else { return nil }
    let converted = try await view.converted(to: version)
    if !webhook.conditions.isEmpty {
      var budget = AdmissionExpressions.conditionBudget
      let activation = AdmissionExpressions(.authorizer).activation(converted, params: nil, registry, .authorizer)
      let outcome = try await registry.access.settled {
        budget = AdmissionExpressions.conditionBudget
        return webhook.conditions.evaluate(activation, budget: &budget)
      }
      switch outcome {
      case .matches: break
      case .fails: return nil
      case .error(let text):
        if webhook.ignoresFailure { return nil }
        throw StatusError.forbidden(view.requested.groupResource, view.name, text)
      }
    }
    return converted
  }

  /// The answer; nil where the webhook could not be asked and that does not matter.
  private func ask(_ webhook: AdmissionWebhook, _ view: AdmissionView, mayPatch: Bool) async throws
    -> AdmissionReview.Answer?
  {
    if view.dryRun, !webhook.toleratesDryRun {
      throw StatusError.badRequest("admission webhook \(goQuoted(webhook.name)) does not support dry run")
    }
    let answer: AdmissionReview.Answer
    do {
      let review = try AdmissionReview(view, versions: webhook.versions)
      let tree: JSONValue
      do {
        tree = try await registry.webhooks.call(webhook.endpoint, review.body, timeout: webhook.timeout, in: registry)
      } catch { throw AdmissionReview.Malformed(description: "failed to call webhook: \(error)") }
      do { answer = try review.answer(tree, mayPatch: mayPatch) } catch {
        throw AdmissionReview.Malformed(description: "received invalid webhook response: \(error)")
      }
    } catch {
      let text = "failed calling webhook \(goQuoted(webhook.name)): \(error)"
      registry.logger.warning("\(text)", metadata: ["ignored": "\(webhook.ignoresFailure)"])
      if webhook.ignoresFailure { return nil }
      throw StatusError.internalError(text)
    }
    for warning in answer.warnings { warnings.add(warning) }
    for (key, value) in answer.annotations { annotate("\(webhook.name)/\(key)", value) }
    if !answer.allowed { throw AdmissionReview.refusal(webhook.name, answer.result) }
    return answer
  }

  /// Asks the mutating ones one after the other; whether the object changed. Those that want to see later changes are
  /// asked a second time.
  func mutate(_ view: inout AdmissionView, _ webhooks: [AdmissionWebhook], _ reinvocation: inout Reinvocation)
    async throws -> Bool
  {
    var changedAtAll = false
    for (index, webhook) in webhooks.enumerated() {
      guard reinvocation.wants(index, view.object) else { continue }
      guard var seen = try await question(webhook, view) else { continue }
      guard let answer = try await ask(webhook, seen, mayPatch: true) else { continue }
      var changed = false
      if let patch = answer.patch, patch.arrayValue?.isEmpty == false {
        guard let object = seen.object else {
          throw StatusError.internalError(
            "admission webhook \(goQuoted(webhook.name)) attempted to modify the object, which is not supported for "
              + "this operation")
        }
        do { seen.object = try applyJSONPatch(object, patch) } catch {
          throw StatusError.internalError("\(error)")
        }
        if seen.object != object {
          changed = true
          try await view.adopt(seen)
        }
      }
      changedAtAll = changedAtAll || changed
      reinvocation.ran(index, leaving: view.object, changed: changed, reinvokes: webhook.reinvokes)
    }
    return changedAtAll
  }

  /// Asks the validating ones all at once. Throws the refusal of the first of them in their order.
  func validate(_ view: AdmissionView, _ webhooks: [AdmissionWebhook]) async throws {
    var asked: [(AdmissionWebhook, AdmissionView)] = []
    for webhook in webhooks {
      if let seen = try await question(webhook, view) { asked.append((webhook, seen)) }
    }
    if asked.isEmpty { return }
    if asked.count == 1 {
      _ = try await ask(asked[0].0, asked[0].1, mayPatch: false)
      return
    }
    let refusals = await withTaskGroup(of: (Int, StatusError?).self) { group in
      for (index, (webhook, seen)) in asked.enumerated() {
        group.addTask {
          do {
            _ = try await ask(webhook, seen, mayPatch: false)
            return (index, nil)
          } catch { return (index, error as? StatusError ?? .internalError("\(error)")) }
        }
      }
      var found: [(Int, StatusError)] = []
      for await (index, refusal) in group { if let refusal { found.append((index, refusal)) } }
      return found
    }
    if let first = refusals.min(by: { $0.0 < $1.0 }) { throw first.1 }
  }
}

/// Who is to be asked again because another has changed the object since.
struct Reinvocation: Sendable {
  private var isSecondPass = false
  private var toAsk: Set<Int> = []
  /// Those that may be asked again, with the object as each left it.
  private var left: [Int: JSONValue?] = [:]

  /// Whether there is anyone to ask again; begins the second pass.
  mutating func beginSecondPass(_ object: JSONValue?) -> Bool {
    guard !isSecondPass else { return false }
    toAsk = Set(left.filter { $0.value != object }.map(\.key))
    isSecondPass = true
    return !toAsk.isEmpty
  }

  func wants(_ index: Int, _ object: JSONValue?) -> Bool { !isSecondPass || toAsk.contains(index) }

  mutating func ran(_ index: Int, leaving object: JSONValue?, changed: Bool, reinvokes: Bool) {
    if reinvokes, !isSecondPass { left[index] = .some(object) }
  }
}
