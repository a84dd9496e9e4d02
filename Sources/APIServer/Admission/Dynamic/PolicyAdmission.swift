import API
import APIMachinery
import APIMeta
import APISchema
import CEL

/// Evaluates policies for a request.
struct PolicyAdmission: Sendable {
  let registry: Registry
  let warnings: Warnings
  let annotate: @Sendable (String, String) -> Void

  /// Why a request is refused.
  private struct Refusal {
    var reason: String
    var message: String
  }

  // MARK: Validating

  /// Throws what the first policy that denies the request says; warns and annotates for the others.
  func validate(_ view: AdmissionView, _ entries: [PolicyIndex<ValidatingPolicy>.Entry]) async throws {
    var denied: (policy: String, binding: String?, refusal: Refusal)?
    func deny(_ policy: ValidatingPolicy, _ binding: String?, _ text: String) {
      if policy.ignoresFailure || denied != nil { return }
      denied = (policy.name, binding, Refusal(reason: "Invalid", message: text))
    }
    for entry in entries {
      let policy = entry.policy
      do {
        guard let version = try policy.match.version(for: view, registry) else { continue }
        let seen = try await view.converted(to: version)
        for binding in entry.bindings {
          do {
            guard try binding.match.version(for: view, registry) != nil else { continue }
            for params in try await PolicyParams(registry: registry).find(policy.paramKind, binding, view) {
              for refusal in try await registry.access.settled({ evaluate(policy, seen, params) }) {
                act(on: refusal, policy.name, binding, &denied)
              }
            }
          } catch { deny(policy, binding.name, "failed to configure binding: \(error)") }
        }
      } catch { deny(policy, nil, "failed to configure policy: \(error)") }
    }
    guard let denied else { return }
    throw status(of: denied.refusal, view, "ValidatingAdmissionPolicy", denied.policy, denied.binding)
  }

  private func act(
    on refusal: Refusal, _ policy: String, _ binding: PolicyBinding,
    _ denied: inout (policy: String, binding: String?, refusal: Refusal)?
  ) {
    for action in binding.actions {
      switch action {
      case "Deny": if denied == nil { denied = (policy, binding.name, refusal) }
      case "Warn":
        warnings.add(
          "Validation failed for ValidatingAdmissionPolicy '\(policy)' with binding '\(binding.name)': "
            + refusal.message)
      case "Audit":
        let failure = JSONValue.array([
          .object([
            "message": .string(refusal.message), "policy": .string(policy), "binding": .string(binding.name),
            "expressionIndex": .int(0),
            "validationActions": .array(binding.actions.map { .string($0) }),
          ])
        ])
        annotate(
          "validation.policy.admission.k8s.io/validation_failure", String(decoding: failure.encoded(), as: UTF8.self))
      default: break
      }
    }
  }

  private func status(
    of refusal: Refusal, _ view: AdmissionView, _ kind: String, _ policy: String, _ binding: String?
  ) -> StatusError {
    let bound = binding.map { " with binding '\($0)'" } ?? ""
    let message = "\(kind) '\(policy)'\(bound) denied request: \(refusal.message)"
    var error = StatusError.forbidden(view.requested.groupResource, view.name, message)
    error.reason = refusal.reason
    error.code =
      switch refusal.reason {
      case "Unauthorized": 401
      case "Forbidden": 403
      case "RequestEntityTooLarge": 413
      default: 422
      }
    error.details?.causes.append(.init(message: message))
    return error
  }

  /// What a policy has against a request.
  private func evaluate(_ policy: ValidatingPolicy, _ view: AdmissionView, _ params: JSONValue?) -> [Refusal] {
    let scope: AdmissionExpressions.Scope = [.policy, .params]
    let activation = policy.expressions.activation(view, params: params, registry, scope)
    var budget = AdmissionExpressions.policyBudget
    func failed(_ text: String) -> [Refusal] {
      policy.ignoresFailure ? [] : [Refusal(reason: "Invalid", message: text)]
    }
    if !policy.conditions.isEmpty {
      var conditionBudget = AdmissionExpressions.conditionBudget
      switch policy.conditions.evaluate(activation, budget: &conditionBudget) {
      case .matches: break
      case .fails: return []
      case .error(let text): return failed(text)
      }
    }
    var refusals: [Refusal] = []
    for check in policy.validations {
      do {
        let value = try check.program.get().evaluate(
          activation, costLimit: AdmissionExpressions.callLimit, budget: &budget)
        if case .bool(true) = value { continue }
        refusals.append(Refusal(reason: check.reason, message: message(of: check, activation, &budget)))
      } catch let error as CELErrors {
        refusals += failed("expression '\(check.source)' resulted in error: compilation error: \(error)")
      } catch {
        refusals += failed("expression '\(check.source)' resulted in error: \(error)")
      }
    }
    for annotation in policy.annotations {
      guard
        let value = try? annotation.program.get().evaluate(
          activation, costLimit: AdmissionExpressions.callLimit, budget: &budget)
      else { continue }
      if case .string(let text) = value, !text.isEmpty { annotate("\(policy.name)/\(annotation.key)", text) }
    }
    return refusals
  }

  private func message(of check: ValidatingPolicy.Check, _ activation: CELActivation, _ budget: inout UInt64) -> String
  {
    if let program = try? check.messageProgram?.get(),
      case .string(let text)? = try? program.evaluate(
        activation, costLimit: AdmissionExpressions.callLimit, budget: &budget)
    {
      let trimmed = text.trimmingSpaces
      if !trimmed.isEmpty, trimmed.utf8.count <= 5 << 10, !trimmed.contains("\n") { return trimmed }
    }
    if !check.message.isEmpty { return check.message.trimmingSpaces }
    return "failed expression: \(check.source.trimmingSpaces)"
  }

  // MARK: Mutating

  /// Changes the object as the policies say; whether they did.
  func mutate(
    _ view: inout AdmissionView, _ entries: [PolicyIndex<MutatingPolicy>.Entry], _ reinvocation: inout Reinvocation
  ) async throws -> Bool {
    guard view.object != nil else { return false }
    var changedAtAll = false
    for (index, entry) in entries.enumerated() {
      let policy = entry.policy
      guard reinvocation.wants(index, view.object) else { continue }
      func refused(_ text: String, _ binding: String?) -> StatusError {
        status(of: Refusal(reason: "Invalid", message: text), view, "policy", policy.name, binding)
      }
      let before = view.object
      var hasRun = false
      do {
        guard let version = try policy.match.version(for: view, registry) else { continue }
        for binding in entry.bindings {
          do {
            guard try binding.match.version(for: view, registry) != nil else { continue }
            for params in try await PolicyParams(registry: registry).find(policy.paramKind, binding, view) {
              let start = try await view.converted(to: version)
              var seen = start
              let changes = try await registry.access.settled {
                seen = start
                return try change(&seen, policy, params)
              }
              guard changes else { continue }
              hasRun = true
              try await view.adopt(seen)
            }
          } catch { if !policy.ignoresFailure { throw refused("\(error)", binding.name) } }
        }
      } catch let error as StatusError { throw error } catch {
        if !policy.ignoresFailure { throw refused("\(error)", nil) }
      }
      guard hasRun else { continue }
      let changed = view.object != before
      changedAtAll = changedAtAll || changed
      reinvocation.ran(index, leaving: view.object, changed: changed, reinvokes: policy.reinvokes)
    }
    return changedAtAll
  }

  /// Runs a policy's mutations, each on what the one before has left; false where its conditions keep it out.
  private func change(_ view: inout AdmissionView, _ policy: MutatingPolicy, _ params: JSONValue?) throws -> Bool {
    let scope: AdmissionExpressions.Scope = [.policy, .params]
    var budget = AdmissionExpressions.policyBudget
    if !policy.conditions.isEmpty {
      var conditionBudget = AdmissionExpressions.conditionBudget
      let activation = policy.expressions.activation(view, params: params, registry, scope)
      switch policy.conditions.evaluate(activation, budget: &conditionBudget) {
      case .matches: break
      case .fails: return false
      case .error(let text): throw PolicyParams.Problem(description: text)
      }
    }
    for change in policy.changes {
      guard let object = view.object else { return false }
      let activation = policy.expressions.activation(view, params: params, registry, scope)
      switch change {
      case .jsonPatch(let program):
        let operations = try program.get().evaluate(
          activation, costLimit: AdmissionExpressions.callLimit, budget: &budget
        ).json()
        view.object = try applyJSONPatch(object, operations)
      case .applyConfiguration(let program):
        let wanted = try program.get().evaluate(
          activation, costLimit: AdmissionExpressions.callLimit, budget: &budget
        ).json()
        view.object = try applied(wanted, to: object, view)
      }
      try checkIdentity(object, view.object)
    }
    return true
  }

  private func applied(_ wanted: JSONValue, to object: JSONValue, _ view: AdmissionView) throws -> JSONValue {
    guard wanted.objectValue != nil else {
      throw PolicyParams.Problem(description: "applyConfiguration must evaluate to an object")
    }
    guard view.subresource != "scale", let schema = view.served.schema else { return applyMergePatch(object, wanted) }
    do { return try mergedAsApplied(object, wanted, schema: schema) } catch {
      throw PolicyParams.Problem(description: "invalid ApplyConfiguration: \(error)")
    }
  }

  /// What makes an object the one that it is cannot be changed by a policy.
  private func checkIdentity(_ before: JSONValue, _ after: JSONValue?) throws {
    for name in ["apiVersion", "kind"] where before[name] != after?[name] {
      throw PolicyParams.Problem(description: "\(name) may not be changed by a policy")
    }
    for name in ["name", "namespace", "uid"] where before["metadata"]?[name] != after?["metadata"]?[name] {
      throw PolicyParams.Problem(description: "metadata.\(name) may not be changed by a policy")
    }
  }
}

extension String {
  var trimmingSpaces: String {
    var text = self[...]
    while let first = text.first, first.isWhitespace { text = text.dropFirst() }
    while let last = text.last, last.isWhitespace { text = text.dropLast() }
    return String(text)
  }
}
