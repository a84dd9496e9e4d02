import API
import APIMachinery
import Synchronization

/// The query of a mutation, checked as upstream checks it.
struct WriteOptions: Sendable {
  enum FieldValidation: String, Sendable {
    case ignore = "Ignore"
    case warn = "Warn"
    case strict = "Strict"
  }

  var dryRun = false
  var fieldManager = ""
  var fieldValidation = FieldValidation.warn
  var force: Bool?

  init() {}

  init(_ query: [(String, String)], kind: String, userAgent: String) throws {
    var errors: [FieldError] = []
    var explicitManager = false
    for (name, value) in query where !value.isEmpty {
      switch name {
      case "dryRun":
        if value == "All" { dryRun = true } else { errors.append(.notSupported("dryRun", value, ["All"])) }
      case "fieldManager":
        fieldManager = value
        explicitManager = true
        if value.utf8.count > 128 { errors.append(.tooLong(FieldPath("fieldManager"), max: 128)) }
        if value.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
          errors.append(.invalid("fieldManager", value, "should only contain printable characters"))
        }
      case "fieldValidation":
        if let known = FieldValidation(rawValue: value) {
          fieldValidation = known
        } else {
          errors.append(.notSupported("fieldValidation", value, ["Ignore", "Strict", "Warn"]))
        }
      case "force": force = value == "true" || value == "1"
      default: break
      }
    }
    if kind == "PatchOptions", force != nil, !explicitManager {
      force = force ?? false
    }
    if !errors.isEmpty { throw StatusError.invalid(group: "meta.k8s.io", kind: kind, name: "", errors) }
    if !explicitManager { fieldManager = Self.manager(userAgent) }
  }

  /// The part of a user agent before the first slash.
  static func manager(_ userAgent: String) -> String {
    let text = String(userAgent.prefix { $0 != "/" }.prefix(128))
    return text.isEmpty ? "unknown" : text
  }
}

/// Warnings that a request collects for its answer's `Warning` headers.
final class Warnings: Sendable {
  private let list = Mutex<[String]>([])

  func add(_ text: String) {
    list.withLock { if !$0.contains(text) { $0.append(text) } }
  }

  var all: [String] { list.withLock { $0 } }
}
