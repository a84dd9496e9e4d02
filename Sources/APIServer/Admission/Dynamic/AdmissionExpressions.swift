import API
import APIMachinery
import APIMeta
import CEL

/// What the expressions of admission can speak of (KEP-3488): `object`, `oldObject`, `request`, `namespaceObject`,
/// `params`, `authorizer` and `variables`.
struct AdmissionExpressions: Sendable {
  /// What expressions may cost: one of them, all of a policy for one request, all conditions of a webhook.
  static let callLimit: UInt64 = 1_000_000
  static let policyBudget: UInt64 = 10_000_000
  static let conditionBudget: UInt64 = 2_500_000

  private(set) var environment: CELEnvironment
  private var variables: [(name: String, program: Result<CELProgram, CELErrors>)] = []

  /// Which variables there are beside the request's own.
  struct Scope: OptionSet {
    let rawValue: Int
    static let params = Scope(rawValue: 1)
    static let namespace = Scope(rawValue: 2)
    static let authorizer = Scope(rawValue: 4)
    static let mutation = Scope(rawValue: 8)
    static let policy: Scope = [.namespace, .authorizer]
  }

  private static let gvk = CELSchemaType.object(
    "kubernetes.GroupVersionKind",
    [("group", .plain(.string)), ("version", .plain(.string)), ("kind", .plain(.string))])
  private static let gvr = CELSchemaType.object(
    "kubernetes.GroupVersionResource",
    [("group", .plain(.string)), ("version", .plain(.string)), ("resource", .plain(.string))])
  private static let user = CELSchemaType.object(
    "kubernetes.UserInfo",
    [
      ("username", .plain(.string)), ("uid", .plain(.string)), ("groups", .plain(.list(.string))),
      ("extra", .plain(.map(.string, .list(.string)))),
    ])
  static let request = CELSchemaType.object(
    "kubernetes.AdmissionRequest",
    [
      ("kind", gvk), ("resource", gvr), ("subResource", .plain(.string)), ("requestKind", gvk),
      ("requestResource", gvr), ("requestSubResource", .plain(.string)), ("name", .plain(.string)),
      ("namespace", .plain(.string)), ("operation", .plain(.string)), ("userInfo", user),
      ("dryRun", .plain(.bool)), ("options", .plain(.dyn)),
    ])
  /// A Namespace without what an expression has no business with.
  static let namespace = CELSchemaType.object(
    "kubernetes.Namespace",
    [
      (
        "metadata",
        .object(
          "kubernetes.NamespaceMetadata",
          [
            ("name", .plain(.string)), ("generateName", .plain(.string)), ("namespace", .plain(.string)),
            ("labels", .plain(.map(.string, .string))), ("annotations", .plain(.map(.string, .string))),
            ("UID", .plain(.string)), ("creationTimestamp", .plain(.timestamp)),
            ("deletionGracePeriodSeconds", .plain(.int)), ("deletionTimestamp", .plain(.timestamp)),
            ("generation", .plain(.int)), ("resourceVersion", .plain(.string)),
            ("finalizers", .plain(.list(.string))),
          ])
      ),
      ("spec", .object("kubernetes.NamespaceSpec", [("finalizers", .plain(.list(.string)))])),
      ("status", .object("kubernetes.NamespaceStatus", [("phase", .plain(.string))])),
    ])

  /// `object`: the type of the objects, where it is known; anything otherwise.
  init(_ scope: Scope, object: CELSchemaType? = nil, params: CELSchemaType? = nil) {
    var environment = CELEnvironment()
    if let object {
      environment.declare("object", object)
      environment.declare("oldObject", object)
    } else {
      environment.declare("object", .dyn)
      environment.declare("oldObject", .dyn)
    }
    environment.declare("request", Self.request)
    if scope.contains(.namespace) { environment.declare("namespaceObject", Self.namespace) }
    if scope.contains(.params) {
      if let params { environment.declare("params", params) } else { environment.declare("params", .dyn) }
    }
    if scope.contains(.authorizer) {
      environment.declare("authorizer", CELAuthorizer.type)
      environment.declare("authorizer.requestResource", CELAuthorizer.resourceCheckType)
    }
    if scope.contains(.mutation) {
      environment.addMutationObjects()
      environment.addJSONPatch()
    }
    self.environment = environment
  }

  func compile(_ source: String) -> Result<CELProgram, CELErrors> {
    do throws(CELErrors) { return .success(try environment.compile(source)) } catch { return .failure(error) }
  }

  /// Defines `variables.name`, which later expressions may use. Returns what is wrong with its expression.
  @discardableResult
  mutating func define(_ name: String, _ source: String) -> CELErrors? {
    let program = compile(source)
    variables.append((name, program))
    let fields = variables.map { variable -> (String, CELSchemaType) in
      (variable.name, .plain((try? variable.program.get().resultType) ?? .dyn))
    }
    // Each definition makes a type of its own: known types are not replaced.
    environment.declare("variables", .object("kubernetes.variables.\(variables.count)", fields))
    if case .failure(let errors) = program { return errors }
    return nil
  }

  /// The values for one request. `params` is JSON null where there are none.
  func activation(_ view: AdmissionView, params: JSONValue?, _ registry: Registry, _ scope: Scope) -> CELActivation {
    var values: [String: CELValue] = [
      "object": Self.value(view.object), "oldObject": Self.value(view.old), "request": Self.requestValue(view),
      "params": Self.value(params),
    ]
    if scope.contains(.namespace) {
      values["namespaceObject"] =
        view.namespace.isEmpty
        ? .null : registry.object(Namespace.self, name: view.namespace).map(Self.namespaceValue) ?? .null
    }
    if scope.contains(.authorizer) {
      let asking = Asking(user: view.user, registry: registry)
      values["authorizer"] = CELAuthorizer.value(asking)
      var own = CELAuthorizationRequest()
      own.group = view.requested.info.group
      own.resource = view.requested.info.resource
      own.subresource = view.subresource
      own.namespace = view.namespace
      own.name = view.name
      values["authorizer.requestResource"] = CELAuthorizer.requestResource(asking, own)
    }
    guard !variables.isEmpty else { return CELActivation(values) }
    // A variable sees those before it.
    var activation = CELActivation(values)
    var made: [String: @Sendable () -> Result<CELValue, CELError>] = [:]
    for (index, variable) in variables.enumerated() {
      let before = activation
      made[variable.name] = { Self.value(of: variable.program, variable.name, before) }
      let name = "kubernetes.variables.\(index + 1)"
      activation.values["variables"] = .object(CELObject(typeName: name, deferred: made))
    }
    return activation
  }

  private static func value(
    of program: Result<CELProgram, CELErrors>, _ name: String, _ activation: CELActivation
  ) -> Result<CELValue, CELError> {
    func failed(_ why: String, _ kind: CELError.Kind) -> Result<CELValue, CELError> {
      .failure(CELError("composited variable \(goQuoted(name)) fails to evaluate: \(why)", kind: kind))
    }
    switch program {
    case .failure(let errors): return failed("\(errors)", .evaluation)
    case .success(let program):
      do throws(CELError) { return .success(try program.evaluate(activation, costLimit: callLimit)) } catch {
        return failed("\(error)", error.kind)
      }
    }
  }

  private static func value(_ tree: JSONValue?) -> CELValue {
    guard let tree, tree != .null else { return .null }
    return (try? CELValue(json: tree)) ?? .null
  }

  private static func requestValue(_ view: AdmissionView) -> CELValue {
    var fields = AdmissionReview.request(view, uid: "")
    for name in ["object", "oldObject", "uid"] { fields[name] = nil }
    for name in ["subResource", "requestSubResource", "name", "namespace"] where fields[name] == nil {
      fields[name] = .string("")
    }
    return .object(CELObject(json: fields, schema: request))
  }

  private static func namespaceValue(_ namespace: Namespace) -> CELValue {
    guard var tree = try? JSONValue(parsing: namespace.encoded()).objectValue else { return .null }
    if case .object(var metadata)? = tree["metadata"] {
      metadata["UID"] = metadata["uid"]
      tree["metadata"] = .object(metadata)
    }
    return .object(CELObject(json: tree, schema: Self.namespace))
  }

  /// Asks the server's authorizer for the user of the request.
  private struct Asking: CELAuthorizing {
    let user: UserInfo
    let registry: Registry

    func authorize(_ request: CELAuthorizationRequest) -> CELAuthorizationDecision {
      var user = user
      if let account = request.serviceAccount {
        user = UserInfo(
          name: "system:serviceaccount:\(account.namespace):\(account.name)",
          groups: [
            "system:serviceaccounts", "system:serviceaccounts:\(account.namespace)", UserInfo.authenticatedGroup,
          ])
      }
      var attributes: AuthorizationAttributes
      if let path = request.path {
        attributes = AuthorizationAttributes(verb: request.verb, path: path)
      } else {
        attributes = AuthorizationAttributes(
          verb: request.verb, apiGroup: request.group, resource: request.resource, subresource: request.subresource,
          namespace: request.namespace, name: request.name)
        attributes.fieldSelector = request.fieldSelector
        attributes.labelSelector = request.labelSelector
      }
      let answer = registry.access.answer(user, attributes)
      return CELAuthorizationDecision(
        isAllowed: answer.decision == .allowed, reason: answer.reason,
        error: answer.decision == .allowed ? nil : answer.error)
    }
  }
}

/// The conditions under which a webhook or a policy is asked at all (KEP-3716).
struct MatchConditions: Sendable {
  private let conditions: [(name: String, program: Result<CELProgram, CELErrors>)]

  enum Outcome {
    case matches
    case fails(condition: String)
    case error(String)
  }

  init(_ conditions: [MatchCondition], _ expressions: AdmissionExpressions) {
    self.conditions = conditions.map { ($0.name, expressions.compile($0.expression)) }
  }

  var isEmpty: Bool { conditions.isEmpty }

  /// A condition that is false settles it, even after one that failed.
  func evaluate(_ activation: CELActivation, budget: inout UInt64) -> Outcome {
    var errors: [String] = []
    for condition in conditions {
      do {
        let value = try condition.program.get().evaluate(
          activation, costLimit: AdmissionExpressions.callLimit, budget: &budget)
        switch value {
        case .bool(true): break
        case .bool(false): return .fails(condition: condition.name)
        default: errors.append("condition did not evaluate to a bool")
        }
      } catch let error as CELErrors {
        errors.append("compilation error: \(error)")
      } catch {
        errors.append("\(error)")
      }
    }
    if errors.isEmpty { return .matches }
    return .error(errors.count == 1 ? errors[0] : "[\(errors.joined(separator: ", "))]")
  }
}
