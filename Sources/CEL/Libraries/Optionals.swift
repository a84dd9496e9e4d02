extension CELLibrary {
  /// Optional values.
  static let optionals: CELLibrary = {
    var out = CELLibrary("optional")
    out.types = ["optional_type": .optional(.dyn)]
    out.add("optional.of", ["optional_of (V) -> optional(V)"]) { (args) throws(CELError) in .optional(args[0]) }
    out.add("optional.ofNonZeroValue", ["optional_ofNonZeroValue (V) -> optional(V)"]) { (args) throws(CELError) in
      .optional(args[0].isZero ? nil : args[0])
    }
    out.add("optional.none", ["optional_none () -> optional(V)"]) { (_) throws(CELError) in .optional(nil) }
    out.add("optional.unwrap", ["optional_unwrap (list(optional(V))) -> list(V)"], unwrap)
    out.add("unwrapOpt", [".optional_unwrapOpt (list(optional(V))) -> list(V)"], unwrap)
    out.add("value", [".optional_value (optional(V)) -> V"]) { (args) throws(CELError) in
      guard case .optional(let inner) = args[0] else { throw .noSuchOverload }
      guard let inner else { throw CELError("optional.none() dereference") }
      return inner
    }
    out.add("hasValue", [".optional_hasValue (optional(V)) -> bool"]) { (args) throws(CELError) in
      guard case .optional(let inner) = args[0] else { throw .noSuchOverload }
      return .bool(inner != nil)
    }
    // The planner carries these out: their argument is looked at only if it is needed.
    out.declare("or", [".optional_or_optional (optional(V), optional(V)) -> optional(V)"])
    out.declare("orValue", [".optional_orValue_value (optional(V), V) -> V"])
    out.declare(
      "_[?_]",
      [
        "list_optindex_optional_int (list(V), int) -> optional(V)",
        "optional_list_optindex_optional_int (optional(list(V)), int) -> optional(V)",
        "map_optindex_optional_value (map(K, V), K) -> optional(V)",
        "optional_map_optindex_optional_value (optional(map(K, V)), K) -> optional(V)",
      ])
    out.declare(
      "_[_]",
      [
        "optional_list_index_int (optional(list(V)), int) -> optional(V)",
        "optional_map_index_value (optional(map(K, V)), K) -> optional(V)",
      ])
    out.add("first", [".list_first (list(V)) -> optional(V)"]) { (args) throws(CELError) in
      let list = try args[0].list()
      return .optional(list.count > 0 ? try list.element(0) : nil)
    }
    out.add("last", [".list_last (list(V)) -> optional(V)"]) { (args) throws(CELError) in
      let list = try args[0].list()
      return .optional(list.count > 0 ? try list.element(list.count - 1) : nil)
    }
    return out
  }()

  private static let unwrap: CELFunction = { (args) throws(CELError) in
    var out: [CELValue] = []
    for value in try args[0].list().elements() {
      guard case .optional(let inner) = value else { throw .noSuchOverload }
      if let inner { out.append(inner) }
    }
    return .list(out)
  }

  /// The functions behind the comprehensions of two variables.
  static let comprehensions: CELLibrary = {
    var out = CELLibrary("comprehensions")
    out.add(
      "cel.@mapInsert",
      [
        "@mapInsert_map_map (map(K, V), map(K, V)) -> map(K, V)",
        "@mapInsert_map_key_value (map(K, V), K, V) -> map(K, V)",
      ]
    ) { (args) throws(CELError) in
      guard case .map(let map) = args[0] else { throw .noSuchOverload }
      var keys = map.keys
      var values: [CELValue] = []
      for key in keys { values.append(try map.value(key) ?? .null) }
      keys.append(args[1])
      values.append(args[args.count - 1])
      return .map(CELMap(keys: keys, values: values))
    }
    return out
  }()
}

extension CELValue {
  /// Whether the value is what its type starts from.
  var isZero: Bool {
    switch self {
    case .null: true
    case .bool(let v): !v
    case .int(let v): v == 0
    case .uint(let v): v == 0
    case .double(let v): v == 0
    case .string(let v): v.isEmpty
    case .bytes(let v): v.isEmpty
    case .timestamp(let v): v.seconds == CELTimestamp.minSeconds && v.nanoseconds == 0
    case .duration(let v): v == 0
    case .list(let v): v.count == 0
    case .map(let v): v.count == 0
    case .object(let v): v.setFields.isEmpty
    case .type, .opaque: false
    case .optional(let v): v == nil
    }
  }
}
