/// A type of the Common Expression Language.
public indirect enum CELType: Sendable, Hashable {
  case dyn, error, null, bool, int, uint, double, string, bytes, timestamp, duration
  case list(CELType)
  case map(CELType, CELType)
  /// A message or an object with a schema, by the name its fields are looked up with.
  case object(String)
  /// A type of a library, such as `optional_type` or `net.IP`.
  case opaque(String, [CELType])
  /// The type of a type.
  case type(CELType)
  /// A parameter of a generic declaration, or a variable of the checker.
  case param(String)
  /// A nullable scalar.
  case wrapper(CELType)

  /// An optional of some type.
  public static func optional(_ element: CELType) -> CELType { .opaque("optional_type", [element]) }

  var optionalElement: CELType? {
    if case .opaque("optional_type", let parameters) = self { parameters.first } else { nil }
  }

  /// The name that `type()` gives at run time.
  public var runtimeName: String {
    switch self {
    case .dyn: "dyn"
    case .error: "error"
    case .null: "null_type"
    case .bool: "bool"
    case .int: "int"
    case .uint: "uint"
    case .double: "double"
    case .string: "string"
    case .bytes: "bytes"
    case .timestamp: "google.protobuf.Timestamp"
    case .duration: "google.protobuf.Duration"
    case .list: "list"
    case .map: "map"
    case .object(let name): name
    case .opaque(let name, _): name
    case .type: "type"
    case .param(let name): name
    case .wrapper(let type): type.runtimeName
    }
  }
}

extension CELType: CustomStringConvertible {
  /// As the checker's errors print it.
  public var description: String {
    switch self {
    case .null: "null"
    case .error: "!error!"
    case .list(let element): "list(\(element))"
    case .map(let key, let value): "map(\(key), \(value))"
    case .opaque(let name, let parameters):
      parameters.isEmpty ? name : "\(name)(\(parameters.map(\.description).joined(separator: ", ")))"
    case .type(let type): type == .dyn ? "type" : "type(\(type))"
    case .wrapper(let type): "wrapper(\(type))"
    default: runtimeName
    }
  }
}

/// A function's one signature.
struct Overload: Sendable {
  let id: String
  let isMember: Bool
  let parameters: [CELType]
  let result: CELType
}

/// Reads the notation the libraries declare themselves in: `id (list(A), A) -> bool`, a leading `.` for members.
struct SignatureReader {
  private let bytes: [UInt8]
  private var at = 0

  private init(_ text: String) { bytes = Array(text.utf8) }

  /// One signature.
  static func overload(_ text: String) -> Overload {
    var reader = SignatureReader(text)
    reader.space()
    let member = reader.take(".")
    let id = reader.word()
    _ = reader.take("(")
    let parameters = reader.types()
    _ = reader.take("-")
    _ = reader.take(">")
    return Overload(id: id, isMember: member, parameters: parameters, result: reader.type())
  }

  /// One type.
  static func type(_ text: String) -> CELType {
    var reader = SignatureReader(text)
    return reader.type()
  }

  private mutating func space() { while at < bytes.count, bytes[at] == 0x20 { at += 1 } }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    space()
    guard at < bytes.count, bytes[at] == UInt8(character.value) else { return false }
    at += 1
    return true
  }

  private mutating func word() -> String {
    space()
    let start = at
    while at < bytes.count, !" (),->".utf8.contains(bytes[at]) { at += 1 }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  /// After the opening parenthesis, through the closing one.
  private mutating func types() -> [CELType] {
    var out: [CELType] = []
    if take(")") { return out }
    while at < bytes.count {
      out.append(type())
      if take(")") { break }
      _ = take(",")
    }
    return out
  }

  private mutating func type() -> CELType {
    let name = word()
    let parameters = take("(") ? types() : []
    switch name {
    case "dyn": return .dyn
    case "null": return .null
    case "bool": return .bool
    case "int": return .int
    case "uint": return .uint
    case "double": return .double
    case "string": return .string
    case "bytes": return .bytes
    case "timestamp": return .timestamp
    case "duration": return .duration
    case "list": return .list(parameters.first ?? .dyn)
    case "map": return parameters.count == 2 ? .map(parameters[0], parameters[1]) : .map(.dyn, .dyn)
    case "type": return .type(parameters.first ?? .dyn)
    case "optional": return .optional(parameters.first ?? .dyn)
    case "wrapper": return .wrapper(parameters[0])
    default: return name.count == 1 ? .param(name) : .opaque(name, parameters)
    }
  }
}
