import APIMachinery

/// A flag of an upstream binary.
struct GoFlag: Sendable {
  enum Kind: Sendable { case text, flag, integer, duration, list }

  let name: String
  let kind: Kind
  let usage: String
  let initial: String

  /// A flag with a value of text, its default in upstream's writing.
  static func text(_ name: String, _ initial: String = "", _ usage: String) -> GoFlag {
    GoFlag(name: name, kind: .text, usage: usage, initial: initial)
  }
  static func flag(_ name: String, _ initial: Bool = false, _ usage: String) -> GoFlag {
    GoFlag(name: name, kind: .flag, usage: usage, initial: initial ? "true" : "false")
  }
  static func integer(_ name: String, _ initial: Int, _ usage: String) -> GoFlag {
    GoFlag(name: name, kind: .integer, usage: usage, initial: "\(initial)")
  }
  static func duration(_ name: String, _ initial: String, _ usage: String) -> GoFlag {
    GoFlag(name: name, kind: .duration, usage: usage, initial: initial)
  }
  static func list(_ name: String, _ initial: String = "", _ usage: String) -> GoFlag {
    GoFlag(name: name, kind: .list, usage: usage, initial: initial)
  }
}

/// One line of why a command line is not accepted.
struct FlagError: Error, CustomStringConvertible {
  let description: String
  init(_ text: String) { description = text }
}

/// Command lines as Go's pflag reads them: `--name value`, `--name=value`, a boolean's `--name` and `--name=false`, lists
/// by commas and by repetition. Upstream's users have such lines in their unit files and manifests.
struct GoFlags: Sendable {
  let component: String
  let flags: [GoFlag]
  /// Upstream's flags that this binary does not have, and what to use instead.
  let elsewhere: [String: String]
  private let byName: [String: GoFlag]

  init(component: String, _ flags: [GoFlag], elsewhere: [String: String] = [:]) {
    self.component = component
    self.flags = flags
    self.elsewhere = elsewhere
    byName = Dictionary(flags.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
  }

  enum Outcome: Sendable {
    case run(FlagValues)
    /// `--help` or `--version` was asked for: print this and end well.
    case print(String)
  }

  /// Reads a command line.
  func parse(_ arguments: [String]) throws -> Outcome {
    var given: [String: [String]] = [:]
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument != "-" else {
        throw FlagError("unknown command \"\(argument)\" for \"\(component)\"")
      }
      let (name, attached) = Self.split(argument)
      if name == "help" || name == "h" { return .print(help) }
      guard let flag = byName[name] else {
        if let instead = elsewhere[name] { throw FlagError("--\(name) is not served by apus: \(instead)") }
        throw FlagError("unknown flag: --\(name)")
      }
      let value: String
      if let attached {
        value = attached
      } else if flag.kind == .flag {
        value = "true"
      } else if let next = rest.popFirst() {
        value = next
      } else {
        throw FlagError("flag needs an argument: --\(name)")
      }
      try check(flag, value)
      given[name, default: []].append(value)
    }
    let values = FlagValues(flags: byName, given: given)
    return values.declares("version") && values.flag("version") ? .print("Kubernetes \(Version.git)") : .run(values)
  }

  /// `-v=4` and `-v 4` stand beside the long names; `_` in a name is `-`, as in upstream's normalization.
  private static func split(_ argument: String) -> (name: String, value: String?) {
    let body = argument.drop { $0 == "-" }
    guard let equals = body.firstIndex(of: "=") else { return (normal(body), nil) }
    return (normal(body[..<equals]), String(body[body.index(after: equals)...]))
  }

  private static func normal(_ name: Substring) -> String { String(name.map { $0 == "_" ? "-" : $0 }) }

  private func check(_ flag: GoFlag, _ value: String) throws {
    let problem: String? =
      switch flag.kind {
      case .flag where FlagValues.boolean(value) == nil: "parsing \"\(value)\": invalid syntax"
      case .integer where Int(value) == nil: "parsing \"\(value)\": invalid syntax"
      case .duration where FlagValues.duration(value) == nil: "time: invalid duration \"\(value)\""
      default: nil
      }
    if let problem {
      throw FlagError("invalid argument \"\(value)\" for \"--\(flag.name)\" flag: \(problem)")
    }
  }

  private var help: String {
    var text = "Usage:\n  apus \(component) [flags]\n\nFlags:\n"
    for flag in flags.sorted(by: { $0.name < $1.name }) {
      let value =
        switch flag.kind {
        case .text: " string"
        case .flag: ""
        case .integer: " int"
        case .duration: " duration"
        case .list: " strings"
        }
      let initial = flag.initial.isEmpty || flag.initial == "false" ? "" : " (default \(flag.initial))"
      text += "      --\(flag.name)\(value)\n                \(flag.usage)\(initial)\n"
    }
    return text
  }
}

/// What a command line said, with upstream's defaults for what it did not say.
struct FlagValues: Sendable {
  fileprivate let flags: [String: GoFlag]
  fileprivate var given: [String: [String]]

  /// Takes a value from a configuration file: the command line goes before it.
  mutating func fill(_ name: String, _ value: String?) {
    if let value, given[name] == nil { given[name] = [value] }
  }

  /// Takes a file's `leaderElection`.
  mutating func fillLeaderElection(_ file: ConfigFile) throws {
    if let elect = file.value("leaderElection", "leaderElect")?.boolValue { fill("leader-elect", "\(elect)") }
    for (flag, field) in [
      ("leader-elect-lease-duration", "leaseDuration"), ("leader-elect-renew-deadline", "renewDeadline"),
      ("leader-elect-retry-period", "retryPeriod"), ("leader-elect-resource-name", "resourceName"),
      ("leader-elect-resource-namespace", "resourceNamespace"), ("leader-elect-resource-lock", "resourceLock"),
    ] {
      if flag.hasSuffix("duration") || flag.hasSuffix("deadline") || flag.hasSuffix("period") {
        _ = try file.duration("leaderElection", field)
      }
      fill(flag, file.value("leaderElection", field)?.stringValue)
    }
  }

  /// Whether the command line names the flag.
  func isSet(_ name: String) -> Bool { given[name] != nil }

  func text(_ name: String) -> String { given[name]?.last ?? declared(name).initial }

  /// A command that asks for a flag it does not declare would read an empty text for ever.
  private func declared(_ name: String) -> GoFlag {
    guard let flag = flags[name] else { preconditionFailure("flag --\(name) is not declared") }
    return flag
  }

  /// Whether the command has such a flag: what components share asks for more than each of them has.
  func declares(_ name: String) -> Bool { flags[name] != nil }

  /// Every flag's value, as `/flagz` shows them.
  var all: [String: String] {
    flags.mapValues { flag in given[flag.name].map { $0.joined(separator: ",") } ?? flag.initial }
  }

  /// Nil for an empty text.
  func path(_ name: String) -> String? { text(name).isEmpty ? nil : text(name) }

  func flag(_ name: String) -> Bool { Self.boolean(text(name)) ?? false }

  func integer(_ name: String) -> Int { Int(text(name)) ?? 0 }

  func duration(_ name: String) -> Swift.Duration { Self.duration(text(name)) ?? .zero }

  /// A duration in seconds.
  func seconds(_ name: String) -> Double { duration(name) / .seconds(1) }

  func list(_ name: String) -> [String] {
    (given[name] ?? [declared(name).initial]).flatMap { $0.split(separator: ",") }
      .map { String($0).trimmingSpaces() }.filter { !$0.isEmpty }
  }

  /// `a=1,b=2` as pairs.
  func map(_ name: String) -> [String: String] {
    Dictionary(
      list(name).map { entry in
        let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : "")
      }, uniquingKeysWith: { $1 })
  }

  /// Go's strconv.ParseBool.
  static func boolean(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }

  /// Go's time.ParseDuration.
  static func duration(_ text: String) -> Swift.Duration? {
    if text == "0" { return .zero }
    let units: [String: Double] = ["ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12]
    var rest = text[...]
    let negative = rest.first == "-"
    if negative || rest.first == "+" { rest.removeFirst() }
    guard !rest.isEmpty else { return nil }
    var nanoseconds = 0.0
    while !rest.isEmpty {
      let number = rest.prefix { $0.isNumber || $0 == "." }
      rest = rest[number.endIndex...]
      let unit = rest.prefix { !$0.isNumber && $0 != "." }
      rest = rest[unit.endIndex...]
      guard let value = Double(number), let scale = units[String(unit)] else { return nil }
      nanoseconds += value * scale
    }
    return .nanoseconds(Int64(negative ? -nanoseconds : nanoseconds))
  }
}

extension String {
  fileprivate func trimmingSpaces() -> String {
    var slice = self[...]
    while slice.first == " " { slice.removeFirst() }
    while slice.last == " " { slice.removeLast() }
    return String(slice)
  }
}
