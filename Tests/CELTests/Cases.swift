import Testing

@testable import CEL

/// Runs lines of `expression => value`; `!text` expects an error that holds the text.
func check(
  _ lines: String, _ bindings: [String: CELValue] = [:], types: [String: CELType] = [:],
  sourceLocation: SourceLocation = #_sourceLocation
) {
  var environment = CELEnvironment()
  environment.options.homogeneousLiterals = false
  for name in bindings.keys { environment.declare(name, types[name] ?? .dyn) }
  for (name, type) in types where bindings[name] == nil { environment.declare(name, type) }
  for line in lines.split(separator: "\n") {
    let parts = line.split(separator: " => ", maxSplits: 1).map(String.init)
    guard parts.count == 2 else {
      Issue.record("no expectation: \(line)", sourceLocation: sourceLocation)
      continue
    }
    let found = outcome(parts[0], environment, bindings)
    if parts[1].hasPrefix("!") {
      #expect(
        found.hasPrefix("!") && found.contains(parts[1].dropFirst()), "\(parts[0]): \(found)",
        sourceLocation: sourceLocation)
    } else {
      #expect(found == parts[1], "\(parts[0])", sourceLocation: sourceLocation)
    }
  }
}

/// The value as text, or `!` and the error.
func outcome(_ source: String, _ environment: CELEnvironment, _ bindings: [String: CELValue] = [:]) -> String {
  do {
    return show(try environment.compile(source).evaluate(CELActivation(bindings)))
  } catch let error as CELErrors {
    return "!\(error)"
  } catch {
    return "!\(error)"
  }
}

func show(_ value: CELValue) -> String {
  switch value {
  case .uint(let v): return "\(v)u"
  case .double(let v):
    let text = CELValue.text(v)
    return text.allSatisfy({ $0.isNumber || $0 == "-" }) ? text + ".0" : text
  case .string(let v): return "'\(v)'"
  case .bytes(let v): return "b'\(v.map { String($0, radix: 16) }.joined(separator: " "))'"
  case .list(let list): return "[" + ((try? list.elements()) ?? []).map(show).joined(separator: ", ") + "]"
  case .map(let map):
    return "{"
      + map.keys.map { "\(show($0)): \(((try? map.value($0)) ?? nil).map(show) ?? "?")" }.joined(separator: ", ") + "}"
  case .optional(let v): return v.map { "some(\(show($0)))" } ?? "none"
  case .timestamp, .duration: return "<\(value.plainText)>"
  default: return value.plainText
  }
}
