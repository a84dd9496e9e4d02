private import APIMachinery

extension CELLibrary {
  /// The language's own functions.
  static let standard: CELLibrary = {
    var out = CELLibrary("standard")
    out.declareOperators()
    out.addConversions()
    out.addBasics()
    out.addTimes()
    out.types = [
      "bool": .bool, "bytes": .bytes, "double": .double, "int": .int, "uint": .uint, "string": .string,
      "null_type": .null, "list": .list(.dyn), "map": .map(.dyn, .dyn), "type": .type(.dyn), "dyn": .dyn,
      "google.protobuf.Timestamp": .timestamp, "google.protobuf.Duration": .duration,
    ]
    return out
  }()

  private mutating func declareOperators() {
    declare("_&&_", ["logical_and (bool, bool) -> bool"])
    declare("_||_", ["logical_or (bool, bool) -> bool"])
    declare("_?_:_", ["conditional (bool, A, A) -> A"])
    declare("@not_strictly_false", ["not_strictly_false (bool) -> bool"])
    declare("_==_", ["equals (A, A) -> bool"])
    declare("_!=_", ["not_equals (A, A) -> bool"])
    declare("@in", ["in_list (A, list(A)) -> bool", "in_map (A, map(A, B)) -> bool"])
    declare("_[_]", ["index_list (list(A), int) -> A", "index_map (map(A, B), A) -> B"])
    declare(
      "_+_",
      [
        "add_bytes (bytes, bytes) -> bytes", "add_double (double, double) -> double",
        "add_duration_duration (duration, duration) -> duration",
        "add_duration_timestamp (duration, timestamp) -> timestamp",
        "add_timestamp_duration (timestamp, duration) -> timestamp", "add_int64 (int, int) -> int",
        "add_list (list(A), list(A)) -> list(A)", "add_string (string, string) -> string",
        "add_uint64 (uint, uint) -> uint",
      ])
    declare(
      "_-_",
      [
        "subtract_double (double, double) -> double", "subtract_duration_duration (duration, duration) -> duration",
        "subtract_int64 (int, int) -> int", "subtract_timestamp_duration (timestamp, duration) -> timestamp",
        "subtract_timestamp_timestamp (timestamp, timestamp) -> duration", "subtract_uint64 (uint, uint) -> uint",
      ])
    for (name, id, types) in [
      ("_*_", "multiply", ["double", "int", "uint"]), ("_/_", "divide", ["double", "int", "uint"]),
      ("_%_", "modulo", ["int", "uint"]),
    ] { declare(name, types.map { "\(id)_\($0) (\($0), \($0)) -> \($0)" }) }
    let numbers = ["int", "uint", "double"]
    for (name, id) in [("_<_", "less"), ("_<=_", "less_equals"), ("_>_", "greater"), ("_>=_", "greater_equals")] {
      var list = ["bool", "string", "bytes", "timestamp", "duration"].map { "\(id)_\($0) (\($0), \($0)) -> bool" }
      for a in numbers { for b in numbers { list.append("\(id)_\(a)_\(b) (\(a), \(b)) -> bool") } }
      declare(name, list)
    }
    add("!_", ["logical_not (bool) -> bool"]) { (args) throws(CELError) in
      guard case .bool(let value) = args[0] else { throw .noSuchOverload }
      return .bool(!value)
    }
    add("-_", ["negate_int64 (int) -> int", "negate_double (double) -> double"]) { (args) throws(CELError) in
      switch args[0] {
      case .int(.min): throw .intOverflow
      case .int(let v): return .int(-v)
      case .double(let v): return .double(-v)
      default: throw .noSuchOverload
      }
    }
  }

  private mutating func addBasics() {
    let sized = ["string", "bytes", "list(A)", "map(A, B)"]
    add("size", sized.map { "size (\($0)) -> int" } + sized.map { ".size (\($0)) -> int" }) {
      (args) throws(CELError) in
      switch args[0] {
      case .string(let text): return .int(Int64(text.unicodeScalars.count))
      case .bytes(let bytes): return .int(Int64(bytes.count))
      case .list(let list): return .int(Int64(list.count))
      case .map(let map): return .int(Int64(map.count))
      default: throw .noSuchOverload
      }
    }
    add("contains", [".contains_string (string, string) -> bool"]) { (args) throws(CELError) in
      let (text, part) = try (args[0].string(), args[1].string())
      return .bool(part.isEmpty || text.firstRange(ofBytes: part) != nil)
    }
    add("startsWith", [".starts_with_string (string, string) -> bool"]) { (args) throws(CELError) in
      .bool(try args[0].string().utf8.starts(with: try args[1].string().utf8))
    }
    add("endsWith", [".ends_with_string (string, string) -> bool"]) { (args) throws(CELError) in
      .bool(try args[0].string().utf8.reversed().starts(with: try args[1].string().utf8.reversed()))
    }
    add("matches", ["matches (string, string) -> bool", ".matches_string (string, string) -> bool"]) {
      (args) throws(CELError) in
      let (text, pattern) = try (args[0].string(), args[1].string())
      return .bool(try RE2.cached(pattern).matches(text))
    }
    add("type", ["type (A) -> type(A)"]) { (args) throws(CELError) in .type(args[0].type) }
    add("dyn", ["to_dyn (A) -> dyn"]) { (args) throws(CELError) in args[0] }
  }

  private mutating func addConversions() {
    func from(_ types: [String], _ to: String) -> [String] { types.map { "\($0)_to_\(to) (\($0)) -> \(to)" } }
    add("int", from(["int", "double", "duration", "string", "timestamp", "uint"], "int")) {
      (args) throws(CELError) in
      switch args[0] {
      case .int: return args[0]
      case .uint(let v):
        guard let out = Int64(exactly: v) else { throw .intOverflow }
        return .int(out)
      case .double(let v):
        // The limits themselves are no doubles that could be converted safely.
        guard v > -9_223_372_036_854_775_808.0, v < 9_223_372_036_854_775_807.0 else { throw .intOverflow }
        return .int(Int64(v))
      case .string(let v):
        guard !v.hasPrefix("+") || v.count > 1, let out = Int64(v) else {
          throw CELError("strconv.ParseInt: parsing \"\(v)\": invalid syntax")
        }
        return .int(out)
      case .timestamp(let v): return .int(v.seconds)
      case .duration(let v): return .int(v)
      default: throw .noSuchOverload
      }
    }
    add("uint", from(["uint", "double", "int", "string"], "uint")) { (args) throws(CELError) in
      switch args[0] {
      case .uint: return args[0]
      case .int(let v):
        guard let out = UInt64(exactly: v) else { throw .uintOverflow }
        return .uint(out)
      case .double(let v):
        guard v >= 0, v < 18_446_744_073_709_551_615.0 else { throw .uintOverflow }
        return .uint(UInt64(v))
      case .string(let v):
        guard v.utf8.allSatisfy(\.isDigit), let out = UInt64(v) else {
          throw CELError("strconv.ParseUint: parsing \"\(v)\": invalid syntax")
        }
        return .uint(out)
      default: throw .noSuchOverload
      }
    }
    add("double", from(["double", "int", "string", "uint"], "double")) { (args) throws(CELError) in
      switch args[0] {
      case .double: return args[0]
      case .int(let v): return .double(Double(v))
      case .uint(let v): return .double(Double(v))
      case .string(let v):
        guard let out = Double(v) else { throw CELError("strconv.ParseFloat: parsing \"\(v)\": invalid syntax") }
        return .double(out)
      default: throw .noSuchOverload
      }
    }
    add("bool", ["bool_to_bool (bool) -> bool", "string_to_bool (string) -> bool"]) { (args) throws(CELError) in
      switch args[0] {
      case .bool: return args[0]
      case .string(let v):
        switch v {
        case "1", "t", "T", "TRUE", "true", "True": return .bool(true)
        case "0", "f", "F", "FALSE", "false", "False": return .bool(false)
        default: throw CELError("type conversion error from 'string' to 'bool'")
        }
      default: throw .noSuchOverload
      }
    }
    add(
      "string",
      from(["string", "bool", "bytes", "double", "duration", "int", "timestamp", "uint"], "string")
    ) { (args) throws(CELError) in
      switch args[0] {
      case .string: return args[0]
      case .bytes(let v):
        guard let text = String(validating: v, as: UTF8.self) else {
          throw CELError("invalid UTF-8 in bytes, cannot convert to string")
        }
        return .string(text)
      case .double(let v): return .string(CELValue.text(v, exponentFrom: 6))
      case .bool, .int, .uint, .timestamp, .duration: return .string(args[0].plainText)
      default: throw .noSuchOverload
      }
    }
    add("bytes", ["bytes_to_bytes (bytes) -> bytes", "string_to_bytes (string) -> bytes"]) {
      (args) throws(CELError) in
      if case .bytes = args[0] { return args[0] }
      return .bytes(Array(try args[0].string().utf8))
    }
    add(
      "timestamp",
      [
        "timestamp_to_timestamp (timestamp) -> timestamp", "string_to_timestamp (string) -> timestamp",
        "int64_to_timestamp (int) -> timestamp",
      ]
    ) { (args) throws(CELError) in
      let out: CELTimestamp
      switch args[0] {
      case .timestamp: return args[0]
      case .int(let v): out = CELTimestamp(seconds: v)
      case .string(let v):
        guard let parsed = CELTimestamp(v) else {
          throw CELError("parsing time \"\(v)\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\(v)\"")
        }
        out = parsed
      default: throw .noSuchOverload
      }
      guard out.isValid else { throw .timestampOverflow }
      return .timestamp(out)
    }
    add(
      "duration",
      [
        "duration_to_duration (duration) -> duration", "string_to_duration (string) -> duration",
        "int64_to_duration (int) -> duration",
      ]
    ) { (args) throws(CELError) in
      switch args[0] {
      case .duration: return args[0]
      case .int(let v): return .duration(v)
      case .string(let v):
        guard let out = GoDuration(parsing: v) else { throw CELError("time: invalid duration \"\(v)\"") }
        return .duration(out.nanoseconds)
      default: throw .noSuchOverload
      }
    }
  }

  private mutating func addTimes() {
    func getter(
      _ name: String, _ part: @escaping @Sendable (CivilDate, CELTimestamp) -> Int,
      duration: (@Sendable (Int64) -> Int64)? = nil
    ) {
      var signatures = [
        ".timestamp_\(name) (timestamp) -> int", ".timestamp_\(name)_with_tz (timestamp, string) -> int",
      ]
      if duration != nil { signatures.append(".duration_\(name) (duration) -> int") }
      add(name, signatures) { (args) throws(CELError) in
        switch args[0] {
        case .timestamp(let time):
          let zone = args.count > 1 ? try args[1].string() : "UTC"
          let offset = try TimeZones.offset(zone, at: time.seconds)
          return .int(Int64(part(CivilDate(unix: time.seconds + Int64(offset)), time)))
        case .duration(let length):
          guard let duration else { throw .noSuchOverload }
          return .int(duration(length))
        default: throw .noSuchOverload
        }
      }
    }
    getter("getFullYear", { date, _ in date.year })
    getter("getMonth", { date, _ in date.month - 1 })
    getter("getDate", { date, _ in date.day })
    getter("getDayOfMonth", { date, _ in date.day - 1 })
    getter("getDayOfWeek", { date, _ in date.dayOfWeek })
    getter("getDayOfYear", { date, _ in date.dayOfYear })
    getter("getHours", { date, _ in date.hour }, duration: { $0 / 3_600_000_000_000 })
    getter("getMinutes", { date, _ in date.minute }, duration: { $0 / 60_000_000_000 })
    getter("getSeconds", { date, _ in date.second }, duration: { $0 / 1_000_000_000 })
    getter(
      "getMilliseconds", { _, time in Int(time.nanoseconds / 1_000_000) },
      duration: { $0 / 1_000_000 % 1000 })
  }
}
