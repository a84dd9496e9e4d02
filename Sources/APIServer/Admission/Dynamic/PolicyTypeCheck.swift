import API
import APIMachinery
import APIMeta
import APISchema
import CEL
import CustomResources
import Logging

/// Looks whether the expressions of ValidatingAdmissionPolicies suit the kinds that they are for, and warns in the
/// policies' status (upstream's validatingadmissionpolicy-status controller).
final class PolicyTypeCheck: Sendable {
  private let registry: Registry
  private let logger: Logger
  private let names: AsyncStream<String>
  private let feed: AsyncStream<String>.Continuation
  /// Of how many kinds at most, as upstream has it.
  private static let maxKinds = 10

  init(registry: Registry, logger: Logger) {
    self.registry = registry
    self.logger = logger
    (names, feed) = AsyncStream.makeStream()
  }

  func follow() {
    registry.subscribe(
      ValidatingAdmissionPolicy.self,
      initial: { policies in
        for policy in policies where policy.status.observedGeneration < policy.metadata.generation {
          self.feed.yield(policy.metadata.name)
        }
      },
      handler: { [feed] change in
        switch change {
        case .added(let policy), .updated(_, let policy):
          if policy.status.observedGeneration < policy.metadata.generation { feed.yield(policy.metadata.name) }
        case .deleted: break
        }
      })
  }

  func run() async { for await name in names { await check(name) } }

  private func check(_ name: String) async {
    guard let resource = registry.resource(ValidatingAdmissionPolicy.self),
      let policy = registry.object(ValidatingAdmissionPolicy.self, name: name)
    else { return }
    let warnings = warnings(policy)
    let context = WriteContext(internal: resource, namespace: "", name: name, subresource: "status")
    do {
      _ = try await registry.update(context, source: .patch) { cached in
        let live = try LiveObject(resource, cached: cached)
        guard var present = live.as(ValidatingAdmissionPolicy.self),
          present.metadata.generation == policy.metadata.generation
        else { return live }
        present.status.observedGeneration = policy.metadata.generation
        present.status.typeChecking = TypeChecking { $0.expressionWarnings = warnings }
        present.metadata.resourceVersion = ""
        return .typed(present)
      }
    } catch let error as StatusError where error.isNotFound {
    } catch { logger.debug("policy status not written", metadata: ["name": "\(name)", "error": "\(error)"]) }
  }

  /// What does not suit, expression by expression.
  func warnings(_ policy: ValidatingAdmissionPolicy) -> [ExpressionWarning] {
    let kinds = kinds(policy)
    if kinds.isEmpty { return [] }
    let environments = kinds.compactMap { kind -> (name: String, expressions: AdmissionExpressions)? in
      guard let type = Self.type(of: kind) else { return nil }
      let scope: AdmissionExpressions.Scope = policy.spec.paramKind == nil ? .policy : [.policy, .params]
      var expressions = AdmissionExpressions(scope, object: type)
      for variable in policy.spec.variables { expressions.define(variable.name, variable.expression) }
      return ("\(kind.apiVersion), Kind=\(kind.info.kind)", expressions)
    }
    var found: [ExpressionWarning] = []
    func check(_ expression: String, _ place: String) {
      if expression.isEmpty { return }
      var lines: [String] = []
      for (name, expressions) in environments {
        if case .failure(let errors) = expressions.compile(expression) { lines.append("\(name): \(errors)\n") }
      }
      if lines.isEmpty { return }
      found.append(
        ExpressionWarning {
          $0.fieldRef = place
          $0.warning = lines.joined(separator: "\n")
        })
    }
    for (index, validation) in policy.spec.validations.enumerated() {
      check(validation.expression, "spec.validations[\(index)].expression")
      check(validation.messageExpression, "spec.validations[\(index)].messageExpression")
    }
    return found
  }

  /// The kinds that the policy names outright; of wildcards nothing can be said.
  private func kinds(_ policy: ValidatingAdmissionPolicy) -> [ServedResource] {
    var found: [String: ServedResource] = [:]
    for rule in policy.spec.matchConstraints?.resourceRules ?? [] {
      for group in rule.apiGroups where group != "*" {
        for version in rule.apiVersions where version != "*" {
          for name in rule.resources where !name.contains("*") && !name.contains("/") {
            guard let resource = registry.resource(group, version, name) else { continue }
            found["\(resource.apiVersion)/\(resource.info.kind)"] = resource
          }
        }
      }
    }
    return Array(found.sorted { $0.key < $1.key }.map(\.value).prefix(Self.maxKinds))
  }

  private static func type(of resource: ServedResource) -> CELSchemaType? {
    if let custom = resource.custom {
      return CELSchemaType.structural(custom.schema.source, isResourceRoot: true)
    }
    return resource.schema.map { CELSchemaType.builtIn($0, in: builtInSchema) }
  }
}
