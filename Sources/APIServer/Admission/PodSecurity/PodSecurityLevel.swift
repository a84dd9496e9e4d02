import APIMachinery

/// A level of the Pod Security Standards, in one version of them.
struct PodSecurityLevel: Hashable, Sendable, CustomStringConvertible {
  enum Level: String, Sendable, Comparable {
    case privileged, baseline, restricted
    static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
    private var rank: Int {
      switch self {
      case .privileged: 0
      case .baseline: 1
      case .restricted: 2
      }
    }
  }
  var level = Level.privileged
  /// The minor version; nil for the latest.
  var minor: Int?

  var description: String { "\(level):" + (minor.map { "v1.\($0)" } ?? "latest") }

  func isAtLeast(_ minor: Int) -> Bool { (self.minor ?? .max) >= minor }
}

/// What a namespace's labels ask for.
struct PodSecurityPolicy: Equatable, Sendable {
  var enforce = PodSecurityLevel()
  var audit = PodSecurityLevel()
  var warn = PodSecurityLevel()

  static let prefix = "pod-security.kubernetes.io/"

  /// Reads the labels. What cannot be read is taken as the strictest where it is enforced, as nothing elsewhere, and told.
  static func of(_ labels: [String: String]) -> (policy: PodSecurityPolicy, errors: [FieldError]) {
    var policy = PodSecurityPolicy()
    var errors: [FieldError] = []
    func path(_ label: String) -> FieldPath { FieldPath("metadata").child("labels").key(prefix + label) }
    func read(_ mode: String, _ value: inout PodSecurityLevel, isEnforced: Bool) -> Bool {
      let text = labels[prefix + mode]
      if let text {
        if let level = PodSecurityLevel.Level(rawValue: text) {
          value.level = level
        } else {
          value.level = isEnforced ? .restricted : .privileged
          errors.append(.invalid(path(mode), text, "must be one of privileged, baseline, restricted"))
        }
      }
      if let version = labels[prefix + mode + "-version"], version != "latest" {
        let number = version.hasPrefix("v1.") ? Int(version.dropFirst(3)) : nil
        if let number, "v1.\(number)" == version {
          value.minor = number
        } else {
          if !isEnforced { value.level = .privileged }
          errors.append(.invalid(path(mode + "-version"), version, "must be \"latest\" or \"v1.x\""))
        }
      }
      return text != nil
    }
    let hasEnforce = read("enforce", &policy.enforce, isEnforced: true)
    _ = read("audit", &policy.audit, isEnforced: false)
    // Whoever asks for enforcement wants to hear of workloads that will run into it.
    if !read("warn", &policy.warn, isEnforced: false), hasEnforce { policy.warn = policy.enforce }
    return (policy, errors)
  }

  var isPrivileged: Bool {
    enforce.level == .privileged && audit.level == .privileged && warn.level == .privileged
  }
}
