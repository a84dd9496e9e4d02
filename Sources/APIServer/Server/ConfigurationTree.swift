import APIMachinery

/// Why a configuration file is not taken.
struct ConfigurationProblem: Error, CustomStringConvertible {
  var description: String
}

/// Reads a configuration file field by field, and notes fields that nobody asked for: a misspelt setting must not be
/// passed over.
struct ConfigurationTree {
  private final class Notes {
    var problems: [String] = []
  }
  private let fields: [String: JSONValue]
  private let place: String
  private let notes: Notes
  private var seen: Set<String> = []

  /// Reads YAML or JSON. `versions`: those that are understood, of `group`.
  static func read(_ text: [UInt8], group: String, kind: String, versions: [String]) throws -> ConfigurationTree {
    let tree: JSONValue
    do { tree = try JSONValue(parsing: yamlToJSON(text)) } catch { throw ConfigurationProblem(description: "\(error)") }
    guard tree["kind"]?.stringValue == kind, let version = tree["apiVersion"]?.stringValue,
      versions.contains(where: { version == "\(group)/\($0)" })
    else {
      throw ConfigurationProblem(
        description: "no kind \(goQuoted(tree["kind"]?.stringValue ?? "")) is registered for version "
          + "\(goQuoted(tree["apiVersion"]?.stringValue ?? "")): expected \(kind) of \(group) in "
          + versions.joined(separator: ", "))
    }
    var result = ConfigurationTree(tree.objectValue ?? [:], "", Notes())
    result.seen = ["kind", "apiVersion"]
    return result
  }

  private init(_ fields: [String: JSONValue], _ place: String, _ notes: Notes) {
    self.fields = fields
    self.place = place
    self.notes = notes
  }

  private func path(_ name: String) -> String { place.isEmpty ? name : "\(place).\(name)" }

  private mutating func take(_ name: String) -> JSONValue? {
    seen.insert(name)
    guard let value = fields[name], value != .null else { return nil }
    return value
  }

  private mutating func take<T>(_ name: String, _ wanted: String, _ read: (JSONValue) -> T?) -> T? {
    guard let value = take(name) else { return nil }
    if let result = read(value) { return result }
    notes.problems.append("\(path(name)): must be \(wanted)")
    return nil
  }

  func has(_ name: String) -> Bool { fields[name] != nil && fields[name] != .null }

  mutating func text(_ name: String) -> String? { take(name, "a string") { $0.stringValue } }

  mutating func flag(_ name: String) -> Bool? { take(name, "a boolean") { $0.boolValue } }

  mutating func texts(_ name: String) -> [String] {
    take(name, "a list of strings") { value in
      guard let list = value.arrayValue else { return nil }
      let texts = list.compactMap(\.stringValue)
      return texts.count == list.count ? texts : nil
    } ?? []
  }

  mutating func duration(_ name: String) -> Duration? {
    take(name, "a duration") { value in
      value.stringValue.flatMap { GoDuration(parsing: $0) }.map { .nanoseconds($0.nanoseconds) }
    }
  }

  mutating func object(_ name: String) -> ConfigurationTree? {
    take(name, "an object") { $0.objectValue }.map { ConfigurationTree($0, path(name), notes) }
  }

  mutating func objects(_ name: String) -> [ConfigurationTree] {
    let list = take(name, "a list") { $0.arrayValue } ?? []
    return list.enumerated().compactMap { index, value in
      let place = "\(path(name))[\(index)]"
      guard let fields = value.objectValue else {
        notes.problems.append("\(place): must be an object")
        return nil
      }
      return ConfigurationTree(fields, place, notes)
    }
  }

  /// Notes the fields that were not asked for. To be called when all have been.
  func finish() {
    for name in fields.keys.sorted() where !seen.contains(name) {
      notes.problems.append("unknown field \(goQuoted(path(name)))")
    }
  }

  /// Throws what was noted, here and below.
  func throwProblems() throws {
    if notes.problems.isEmpty { return }
    throw ConfigurationProblem(description: "strict decoding error: " + notes.problems.joined(separator: ", "))
  }
}

extension [FieldError] {
  /// Throws the errors as one, if there are any.
  func throwAsConfiguration() throws {
    if isEmpty { return }
    throw ConfigurationProblem(
      description: count == 1 ? self[0].description : "[\(map(\.description).joined(separator: ", "))]")
  }
}
