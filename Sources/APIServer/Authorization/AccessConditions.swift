import APIMachinery
import CEL

/// The conditions under which an authorization webhook is asked: expressions over the spec of the SubjectAccessReview.
struct AccessConditions: Sendable {
  private var programs: [(source: String, program: CELProgram)] = []

  static let callLimit: UInt64 = 1_000_000
  static let budget: UInt64 = 10_000_000

  enum Outcome: Equatable {
    case matches, fails
    case error(String)
  }

  init() {}

  var isEmpty: Bool { programs.isEmpty }

  /// Compiles a condition and adds it. Returns what is wrong with it.
  mutating func add(_ source: String) -> String? {
    do throws(CELErrors) {
      let program = try Self.environment.compile(source)
      guard program.resultType == .bool else { return "must evaluate to bool" }
      programs.append((source, program))
      return nil
    } catch {
      return "compilation failed: \(error)"
    }
  }

  /// A condition that is false settles it, even after one that failed.
  func evaluate(_ spec: JSONValue) -> Outcome {
    let request = CELValue.object(CELObject(json: spec.objectValue ?? [:], schema: Self.request))
    let activation = CELActivation(["request": request])
    var budget = Self.budget
    var errors: [String] = []
    for condition in programs {
      do throws(CELError) {
        let value = try condition.program.evaluate(activation, costLimit: Self.callLimit, budget: &budget)
        switch value {
        case .bool(true): break
        case .bool(false): return .fails
        default: errors.append("matchCondition did not evaluate to a bool")
        }
      } catch {
        errors.append("\(error)")
      }
    }
    if errors.isEmpty { return .matches }
    return .error(errors.count == 1 ? errors[0] : "[\(errors.joined(separator: ", "))]")
  }

  private static let environment: CELEnvironment = {
    var environment = CELEnvironment()
    environment.declare("request", request)
    return environment
  }()

  private static let selector = CELSchemaType.object(
    "kubernetes.SelectorAttributes",
    [("rawSelector", .plain(.string)), ("requirements", .plain(.list(.dyn)))])
  static let request = CELSchemaType.object(
    "kubernetes.SubjectAccessReviewSpec",
    [
      (
        "resourceAttributes",
        .object(
          "kubernetes.ResourceAttributes",
          [
            ("namespace", .plain(.string)), ("verb", .plain(.string)), ("group", .plain(.string)),
            ("version", .plain(.string)), ("resource", .plain(.string)), ("subresource", .plain(.string)),
            ("name", .plain(.string)), ("fieldSelector", selector), ("labelSelector", selector),
          ])
      ),
      (
        "nonResourceAttributes",
        .object("kubernetes.NonResourceAttributes", [("path", .plain(.string)), ("verb", .plain(.string))])
      ),
      ("user", .plain(.string)), ("groups", .plain(.list(.string))), ("uid", .plain(.string)),
      ("extra", .plain(.map(.string, .list(.string)))),
    ])
}
