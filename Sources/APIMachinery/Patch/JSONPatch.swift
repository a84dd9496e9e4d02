/// RFC 6902, with the messages and the leniency (negative indices) of the library that upstream uses.
public func applyJSONPatch(_ doc: JSONValue, _ patch: JSONValue) throws(PatchError) -> JSONValue {
  guard case .array(let operations) = patch else {
    throw PatchError(
      "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch", code: 400)
  }
  if operations.count > 10_000 {
    throw PatchError(
      "The allowed maximum operations in a JSON patch is 10000, got \(operations.count)", code: 413)
  }
  var doc = doc
  for operation in operations {
    guard case .object = operation else {
      throw PatchError(
        "error decoding patch: json: cannot unmarshal into Go value of type jsonpatch.Operation", code: 400)
    }
    try apply(operation, to: &doc)
  }
  return doc
}

private func apply(_ operation: JSONValue, to doc: inout JSONValue) throws(PatchError) {
  let kind = operation["op"]?.stringValue ?? "unknown"
  func location(_ member: String) throws(PatchError) -> String {
    if let text = operation[member]?.stringValue { return text }
    throw PatchError("\(kind) operation failed to decode \(member): missing value")
  }
  func missing(_ text: String) -> PatchError { PatchError("\(text): missing value") }
  let value = operation["value"]
  switch kind {
  case "add":
    let path = try location("path")
    guard let pointer = Pointer(path), pointer.parentExists(in: doc) else {
      throw missing("add operation does not apply: doc is missing path: \"\(path)\"")
    }
    try wrapped("error in add for path: '\(path)'") { () throws(PatchError) in try pointer.add(value ?? .null, to: &doc)
    }
  case "remove":
    let path = try location("path")
    guard let pointer = Pointer(path), pointer.parentExists(in: doc) else {
      throw missing("remove operation does not apply: doc is missing path: \"\(path)\"")
    }
    try wrapped("error in remove for path: '\(path)'") { () throws(PatchError) in try pointer.remove(from: &doc) }
  case "replace":
    let path = try location("path")
    guard let pointer = Pointer(path), pointer.parentExists(in: doc) else {
      throw missing("replace operation does not apply: doc is missing path: \(path)")
    }
    guard (try? pointer.get(from: doc)) != nil else {
      throw missing("replace operation does not apply: doc is missing key: \(path)")
    }
    try wrapped("error in remove for path: '\(path)'") { () throws(PatchError) in
      try pointer.replace(with: value ?? .null, in: &doc)
    }
  case "move", "copy":
    let from = try location("from")
    guard let source = Pointer(from), source.parentExists(in: doc) else {
      throw missing("\(kind) operation does not apply: doc is missing from path: \(from)")
    }
    let context = kind == "move" ? "error in move for path: '\(source.key)'" : "error in copy for from: '\(from)'"
    var moved = JSONValue.null
    try wrapped(context) { () throws(PatchError) in
      moved = try source.get(from: doc)
      if kind == "move" { try source.remove(from: &doc) }
    }
    let path = try location("path")
    guard let pointer = Pointer(path), pointer.parentExists(in: doc) else {
      throw missing("\(kind) operation does not apply: doc is missing destination path: \(path)")
    }
    let failure = kind == "move" ? "error in move for path: '\(path)'" : "error while adding value during copy"
    try wrapped(failure) { () throws(PatchError) in try pointer.add(moved, to: &doc) }
  case "test":
    let path = try location("path")
    guard let pointer = Pointer(path), pointer.parentExists(in: doc) else {
      throw missing("test operation does not apply: is missing path: \(path)")
    }
    var found: JSONValue?
    do { found = try pointer.get(from: doc) } catch {
      if !error.message.hasSuffix("missing value") {
        throw PatchError("error in test for path: '\(path)': \(error.message)")
      }
    }
    // An absent value equals null, and an absent expectation too.
    guard (found ?? .null).equals(value ?? .null) else {
      throw PatchError("testing value \(path) failed: test failed")
    }
  default: throw PatchError("Unexpected kind: \(kind)")
  }
}

private func wrapped(_ context: String, _ body: () throws(PatchError) -> Void) throws(PatchError) {
  do { try body() } catch { throw PatchError("\(context): \(error.message)", code: error.code) }
}

/// RFC 6901.
private struct Pointer {
  var parents: [String]
  var key: String
  /// The empty pointer means the document.
  var isRoot: Bool

  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map {
      $0.contains("~") ? Self.unescaped($0) : String($0)
    }
    isRoot = text.isEmpty
    guard isRoot || (parts.count >= 2 && parts[0].isEmpty) else { return nil }
    parents = isRoot ? [] : Array(parts[1..<parts.count - 1])
    key = isRoot ? "" : parts[parts.count - 1]
  }

  private static func unescaped(_ text: Substring) -> String {
    var out = ""
    var rest = text
    while let tilde = rest.firstIndex(of: "~") {
      out += rest[..<tilde]
      let next = rest.index(after: tilde)
      switch next < rest.endIndex ? rest[next] : " " {
      case "1": out += "/"
      case "0": out += "~"
      default:
        out += "~"
        rest = rest[next...]
        continue
      }
      rest = rest[rest.index(after: next)...]
    }
    return out + rest
  }

  private static func invalid(_ i: Int) -> PatchError {
    PatchError("Unable to access invalid index: \(i): invalid index referenced")
  }

  private static func index(_ key: String) throws(PatchError) -> Int {
    if let i = Int(key), key.first != "+" { return i }
    throw PatchError("strconv.Atoi: parsing \(goQuoted(key)): invalid syntax")
  }

  private static func index(_ key: String, in items: [JSONValue]) throws(PatchError) -> Int {
    let i = try index(key)
    guard i < items.count, i >= -items.count else { throw invalid(i) }
    return i < 0 ? i + items.count : i
  }

  private static func member(_ key: String, of container: JSONValue) throws(PatchError) -> JSONValue {
    switch container {
    case .object(let members):
      if let value = members[key] { return value }
      throw PatchError("unable to get nonexistent key: \(key): missing value")
    case .array(let items): return items[try index(key, in: items)]
    default: throw PatchError("invalid state detected")
    }
  }

  func parentExists(in doc: JSONValue) -> Bool {
    var at = doc
    for key in parents {
      guard let next = try? Self.member(key, of: at) else { return false }
      at = next
    }
    switch at {
    case .object, .array: return true
    default: return isRoot
    }
  }

  func get(from doc: JSONValue) throws(PatchError) -> JSONValue {
    if isRoot { return doc }
    var at = doc
    for key in parents { at = try Self.member(key, of: at) }
    return try Self.member(key, of: at)
  }

  func add(_ value: JSONValue, to doc: inout JSONValue) throws(PatchError) {
    if isRoot {
      doc = value
      return
    }
    try change(&doc, parents[...]) { (container) throws(PatchError) in
      guard case .array(var items) = container else {
        container[key] = value
        return
      }
      container = .null
      defer { container = .array(items) }
      if key == "-" {
        items.append(value)
        return
      }
      guard let i = Int(key) else {
        throw PatchError(
          "value was not a proper array index: '\(key)': strconv.Atoi: parsing \(goQuoted(key)): invalid syntax")
      }
      guard i <= items.count, i >= -items.count - 1 else { throw Self.invalid(i) }
      items.insert(value, at: i < 0 ? i + items.count + 1 : i)
    }
  }

  func replace(with value: JSONValue, in doc: inout JSONValue) throws(PatchError) {
    if isRoot {
      doc = value
      return
    }
    try change(&doc, parents[...]) { (container) throws(PatchError) in
      if case .array(var items) = container {
        items[try Self.index(key, in: items)] = value
        container = .array(items)
      } else {
        container[key] = value
      }
    }
  }

  func remove(from doc: inout JSONValue) throws(PatchError) {
    if isRoot { throw PatchError("Unable to remove nonexistent key: : missing value") }
    try change(&doc, parents[...]) { (container) throws(PatchError) in
      if case .array(var items) = container {
        items.remove(at: try Self.index(key, in: items))
        container = .array(items)
      } else {
        guard container[key] != nil else {
          throw PatchError("Unable to remove nonexistent key: \(key): missing value")
        }
        container[key] = nil
      }
    }
  }

  private func change(
    _ at: inout JSONValue, _ path: ArraySlice<String>, _ body: (inout JSONValue) throws(PatchError) -> Void
  ) throws(PatchError) {
    guard let key = path.first else { return try body(&at) }
    switch at {
    case .object(var members):
      guard var child = members[key] else { throw PatchError("missing value") }
      at = .null
      members[key] = .null
      defer { at = .object(members) }
      do { try change(&child, path.dropFirst(), body) } catch {
        members[key] = child
        throw error
      }
      members[key] = child
    case .array(var items):
      let i = try Self.index(key, in: items)
      try change(&items[i], path.dropFirst(), body)
      at = .array(items)
    default: throw PatchError("invalid state detected")
    }
  }
}

extension JSONValue {
  /// Equality in which 1 and 1.0 are the same number.
  func equals(_ other: JSONValue) -> Bool {
    switch (self, other) {
    case (.int(let a), .double(let b)): return Double(a) == b
    case (.double(let a), .int(let b)): return a == Double(b)
    case (.array(let a), .array(let b)): return a.count == b.count && zip(a, b).allSatisfy { $0.equals($1) }
    case (.object(let a), .object(let b)):
      return a.count == b.count && a.allSatisfy { name, value in b[name].map { value.equals($0) } ?? false }
    default: return self == other
    }
  }
}
