import API
import APIMachinery
import APIMeta
import CEL

/// Whether the expressions by which devices are chosen compile, found when they are written. Those that stand already
/// are left alone.
enum DeviceExpressions {
  /// Expressions speak of one `device`: its driver, and its attributes and capacities by domain and name.
  private static let environment: CELEnvironment = {
    var environment = CELEnvironment()
    environment.declare(
      "device",
      .object(
        "kubernetes.DRADevice",
        [
          ("driver", .plain(.string)), ("allowMultipleAllocations", .plain(.bool)),
          ("attributes", .plain(.map(.string, .map(.string, .dyn)))),
          ("capacity", .plain(.map(.string, .map(.string, .dyn)))),
        ]))
    return environment
  }()

  /// What is wrong with an object of any kind; nothing if it chooses no devices.
  static func errors(_ object: any APIObject, old: (any APIObject)?) -> [FieldError] {
    let path = FieldPath("spec")
    switch object {
    case let group as DeviceClass:
      if let old = old as? DeviceClass, old.spec.selectors == group.spec.selectors { return [] }
      return errors(group.spec.selectors, path)
    // The others do not change.
    case let claim as ResourceResourceClaim where old == nil: return errors(claim.spec, path)
    case let template as ResourceClaimTemplate where old == nil:
      return errors(template.spec.spec, path.child("spec"))
    default: return []
    }
  }

  private static func errors(_ claim: ResourceClaimSpec, _ path: FieldPath) -> [FieldError] {
    claim.devices.requests.enumerated().flatMap { i, request -> [FieldError] in
      let path = path.child("devices", "requests").index(i)
      let exact = request.exactly.map { errors($0.selectors, path.child("exactly")) } ?? []
      return exact
        + request.firstAvailable.enumerated().flatMap { j, alternative in
          errors(alternative.selectors, path.child("firstAvailable").index(j))
        }
    }
  }

  private static func errors(_ selectors: [DeviceSelector], _ path: FieldPath) -> [FieldError] {
    selectors.enumerated().compactMap { i, selector in
      guard let source = selector.cel?.expression, source.utf8.count <= 10 * 1024 else { return nil }
      let path = path.child("selectors").index(i).child("cel", "expression")
      do throws(CELErrors) {
        let program = try environment.compile(source)
        if program.resultType == .bool || program.resultType == .dyn { return nil }
        return .invalid(path, source, "must evaluate to bool")
      } catch {
        return .invalid(path, source, "compilation failed: \(error)")
      }
    }
  }
}
