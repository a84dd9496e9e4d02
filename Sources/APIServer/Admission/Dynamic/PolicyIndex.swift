import API
import APIMachinery
import APIMeta
import CEL
import Synchronization

/// A ValidatingAdmissionPolicy with its expressions compiled (KEP-3488).
struct ValidatingPolicy: Sendable {
  let name: String
  let match: AdmissionMatch
  let paramKind: ParamKind?
  let conditions: MatchConditions
  let expressions: AdmissionExpressions
  let validations: [Check]
  let annotations: [(key: String, program: Result<CELProgram, CELErrors>)]
  let ignoresFailure: Bool

  struct Check: Sendable {
    let source: String
    let program: Result<CELProgram, CELErrors>
    let message: String
    let messageProgram: Result<CELProgram, CELErrors>?
    let reason: String
  }

  init(_ policy: ValidatingAdmissionPolicy) throws {
    name = policy.metadata.name
    let spec = policy.spec
    match = try AdmissionMatch(spec.matchConstraints, isBinding: false)
    paramKind = spec.paramKind
    var expressions = AdmissionExpressions(spec.paramKind == nil ? .policy : [.policy, .params])
    conditions = MatchConditions(spec.matchConditions, expressions)
    for variable in spec.variables { expressions.define(variable.name, variable.expression) }
    validations = spec.validations.map { validation in
      Check(
        source: validation.expression, program: expressions.compile(validation.expression),
        message: validation.message,
        messageProgram: validation.messageExpression.isEmpty
          ? nil : expressions.compile(validation.messageExpression),
        reason: validation.reason ?? "Invalid")
    }
    annotations = spec.auditAnnotations.map { ($0.key, expressions.compile($0.valueExpression)) }
    self.expressions = expressions
    ignoresFailure = spec.failurePolicy == "Ignore"
  }
}

/// A MutatingAdmissionPolicy with its expressions compiled (KEP-3962).
struct MutatingPolicy: Sendable {
  enum Change: Sendable {
    case applyConfiguration(Result<CELProgram, CELErrors>)
    case jsonPatch(Result<CELProgram, CELErrors>)
  }
  let name: String
  let match: AdmissionMatch
  let paramKind: ParamKind?
  let conditions: MatchConditions
  let expressions: AdmissionExpressions
  let changes: [Change]
  let ignoresFailure: Bool
  let reinvokes: Bool

  init(_ policy: MutatingAdmissionPolicy) throws {
    name = policy.metadata.name
    let spec = policy.spec
    match = try AdmissionMatch(spec.matchConstraints, isBinding: false)
    paramKind = spec.paramKind
    var expressions = AdmissionExpressions(
      spec.paramKind == nil ? [.policy, .mutation] : [.policy, .params, .mutation])
    conditions = MatchConditions(spec.matchConditions, expressions)
    for variable in spec.variables { expressions.define(variable.name, variable.expression) }
    changes = spec.mutations.map { mutation in
      if let patch = mutation.jsonPatch { return .jsonPatch(expressions.compile(patch.expression)) }
      return .applyConfiguration(expressions.compile(mutation.applyConfiguration?.expression ?? ""))
    }
    self.expressions = expressions
    ignoresFailure = spec.failurePolicy == "Ignore"
    reinvokes = spec.reinvocationPolicy == "IfNeeded"
  }
}

/// What puts a policy into force, for some resources and with some parameters.
struct PolicyBinding: Sendable {
  let name: String
  let policy: String
  let match: AdmissionMatch
  let paramRef: ParamRef?
  /// `Deny`, `Warn`, `Audit`.
  let actions: [String]

  init(_ binding: ValidatingAdmissionPolicyBinding) throws {
    name = binding.metadata.name
    policy = binding.spec.policyName
    match = try AdmissionMatch(binding.spec.matchResources, isBinding: true)
    paramRef = binding.spec.paramRef
    actions = binding.spec.validationActions
  }

  init(_ binding: MutatingAdmissionPolicyBinding) throws {
    name = binding.metadata.name
    policy = binding.spec.policyName
    match = try AdmissionMatch(binding.spec.matchResources, isBinding: true)
    paramRef = binding.spec.paramRef
    actions = ["Deny"]
  }
}

/// Policies and their bindings as they are now, ordered by name.
final class PolicyIndex<Policy: Sendable>: Sendable {
  /// A policy with what binds it.
  struct Entry: Sendable {
    let policy: Policy
    let bindings: [PolicyBinding]
  }
  private struct State {
    var policies: [String: Policy] = [:]
    var bindings: [String: PolicyBinding] = [:]
    var entries: [Entry] = []

    mutating func join(_ make: (Policy, [PolicyBinding]) -> Entry) {
      let byPolicy = Dictionary(grouping: bindings.values, by: \.policy)
      entries = policies.sorted { $0.key < $1.key }.compactMap { name, policy in
        byPolicy[name].map { make(policy, $0.sorted { $0.name < $1.name }) }
      }
    }
  }
  private let state = Mutex(State())

  /// Policies that are bound.
  var entries: [Entry] { state.withLock { $0.entries } }

  /// Follows the kinds of policy and binding. What cannot be read, was checked when it was written.
  func follow<P: APIObject, B: APIObject>(
    _ registry: Registry, _ policies: P.Type, _ policy: @escaping @Sendable (P) throws -> Policy, _ bindings: B.Type,
    _ binding: @escaping @Sendable (B) throws -> PolicyBinding
  ) {
    registry.subscribe(
      P.self, initial: { $0.forEach { self.set($0.metadata.name, policy: try? policy($0)) } },
      handler: { change in
        switch change {
        case .added(let new): self.set(new.metadata.name, policy: try? policy(new))
        case .updated(let old, let new):
          if old?.metadata.generation == new.metadata.generation, old?.metadata.uid == new.metadata.uid { return }
          self.set(new.metadata.name, policy: try? policy(new))
        case .deleted(let old): self.set(old.metadata.name, policy: nil)
        }
      })
    registry.subscribe(
      B.self, initial: { $0.forEach { self.set($0.metadata.name, binding: try? binding($0)) } },
      handler: { change in
        switch change {
        case .added(let new), .updated(_, let new): self.set(new.metadata.name, binding: try? binding(new))
        case .deleted(let old): self.set(old.metadata.name, binding: nil)
        }
      })
  }

  private func set(_ name: String, policy: Policy?) {
    state.withLock { state in
      state.policies[name] = policy
      state.join { Entry(policy: $0, bindings: $1) }
    }
  }

  private func set(_ name: String, binding: PolicyBinding?) {
    state.withLock { state in
      state.bindings[name] = binding
      state.join { Entry(policy: $0, bindings: $1) }
    }
  }
}
