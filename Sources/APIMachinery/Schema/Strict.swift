/// What strict decoding finds in a document: fields that the type does not have, and fields that stand twice.
///
/// In the document's order, each complaint once: `unknown field "spec.containers[0].foo"`.
/// A malformed document or a value of the wrong kind is not its business; the decoder reports that.
public func strictErrors(_ bytes: [UInt8], _ schema: Schema) -> [String] {
  var checker = StrictChecker()
  // What was found before a syntax error still stands.
  try? JSONReader.withReader(bytes) { reader in try checker.object(&reader, schema) }
  return checker.errors
}

/// All complaints as one message, as a Status shows them.
public func strictDecodingMessage(_ errors: [String]) -> String {
  "strict decoding error: " + errors.joined(separator: ", ")
}

private struct StrictChecker {
  var errors: [String] = []
  private var seen: Set<String> = []
  private var path: [Step] = []

  private enum Step {
    case name(String)
    case index(Int)
  }

  private func text(_ last: String) -> String {
    var out = ""
    for step in path {
      switch step {
      case .name(let name): out += out.isEmpty ? name : "." + name
      case .index(let i): out += "[\(i)]"
      }
    }
    return out.isEmpty ? last : out + "." + last
  }

  private mutating func complain(_ what: String, _ name: String) {
    let message = "\(what) field \"\(text(name))\""
    if seen.insert(message).inserted, errors.count < 100 { errors.append(message) }
  }

  mutating func object(_ reader: inout JSONReader, _ schema: Schema) throws {
    guard try reader.peek() == .object else {
      try reader.skipValue()
      return
    }
    var met = [Bool](repeating: false, count: schema.fields.count)
    try reader.beginObject()
    while let key = try reader.nextKey() {
      guard let position = schema.position(of: key) else {
        if !schema.preservesUnknownFields { complain("unknown", key.string) }
        try reader.skipValue()
        continue
      }
      let field = schema.fields[position]
      if met[position] { complain("duplicate", field.name) }
      met[position] = true
      if !field.type.isNested {
        try reader.skipValue()
        continue
      }
      path.append(.name(field.name))
      try value(&reader, field.type, field.target)
      path.removeLast()
    }
  }

  private mutating func value(_ reader: inout JSONReader, _ type: SchemaFieldType, _ target: Schema?) throws {
    switch type {
    case .object where target != nil: try object(&reader, target.unsafelyUnwrapped)
    case .list(let element):
      guard try reader.peek() == .array, element.isNested else { break }
      try reader.beginArray()
      var i = 0
      while try reader.nextElement() {
        path.append(.index(i))
        try value(&reader, element, target)
        path.removeLast()
        i += 1
      }
      return
    case .map(let element):
      guard try reader.peek() == .object else { break }
      var names: Set<String> = []
      try reader.beginObject()
      while let key = try reader.nextKey() {
        let name = key.string
        if !names.insert(name).inserted { complain("duplicate", name) }
        path.append(.name(name))
        try value(&reader, element, target)
        path.removeLast()
      }
      return
    default: break
    }
    if case .object = type, target != nil { return }
    try reader.skipValue()
  }
}

extension SchemaFieldType {
  fileprivate var isNested: Bool {
    switch self {
    case .object, .list, .map: true
    default: false
    }
  }
}
