extension CELLibrary {
  /// Kubernetes' functions on lists.
  static let lists: CELLibrary = {
    var out = CELLibrary("kubernetes.lists")
    let ordered = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"]
    out.add("isSorted", ordered.map { ".list_\($0)_is_sorted_bool (list(\($0))) -> bool" }) { (args) throws(CELError) in
      let values = try args[0].list().elements()
      for i in values.indices.dropFirst() where try values[i].order(values[i - 1]) == -1 { return .bool(false) }
      return .bool(true)
    }
    out.add("sum", ["int", "uint", "double", "duration"].map { ".list_\($0)_sum_\($0) (list(\($0))) -> \($0)" }) {
      (args) throws(CELError) in
      let values = try args[0].list().elements()
      guard var total = values.first else { return .int(0) }
      for value in values.dropFirst() { total = try BinaryNode.add(total, value) }
      return total
    }
    for (name, wanted) in [("min", -1), ("max", 1)] {
      out.add(name, ordered.map { ".list_\($0)_\(name)_\($0) (list(\($0))) -> \($0)" }) { (args) throws(CELError) in
        let values = try args[0].list().elements()
        guard var best = values.first else { throw CELError("\(name) called on empty list") }
        for value in values.dropFirst() where try value.order(best) == wanted { best = value }
        return best
      }
    }
    out.add("indexOf", [".list_a_index_of_int (list(A), A) -> int"]) { (args) throws(CELError) in
      let list = try args[0].list()
      for i in 0..<list.count where try list.element(i).isEqual(to: args[1]) { return .int(Int64(i)) }
      return .int(-1)
    }
    out.add("lastIndexOf", [".list_a_last_index_of_int (list(A), A) -> int"]) { (args) throws(CELError) in
      let list = try args[0].list()
      for i in (0..<list.count).reversed() where try list.element(i).isEqual(to: args[1]) { return .int(Int64(i)) }
      return .int(-1)
    }
    return out
  }()

  /// CEL's extension for lists.
  static let listsExtension: CELLibrary = {
    var out = CELLibrary("lists")
    out.add("slice", [".list_slice (list(T), int, int) -> list(T)"]) { (args) throws(CELError) in
      let values = try args[0].list().elements()
      let (start, end) = (try args[1].int(), try args[2].int())
      guard start >= 0, end >= 0 else {
        throw CELError("cannot slice(\(start), \(end)), negative indexes not supported")
      }
      guard start <= end else {
        throw CELError("cannot slice(\(start), \(end)), start index must be less than or equal to end index")
      }
      guard end <= values.count else {
        throw CELError("cannot slice(\(start), \(end)), list is length \(values.count)")
      }
      return .list(Array(values[Int(start)..<Int(end)]))
    }
    out.add(
      "flatten", [".list_flatten (list(list(T))) -> list(T)", ".list_flatten_int (list(dyn), int) -> list(dyn)"]
    ) { (args) throws(CELError) in
      let depth = args.count > 1 ? try args[1].int() : 1
      guard depth >= 0 else { throw CELError("level must be non-negative") }
      return .list(try flattened(try args[0].list(), Int(min(depth, 100))))
    }
    out.add("lists.range", ["lists_range (int) -> list(int)"]) { (args) throws(CELError) in
      let count = try args[0].int()
      guard count <= 1_000_000 else { throw CELError("range is too large: \(count)") }
      return .list((0..<max(0, count)).map { .int($0) })
    }
    out.add("distinct", [".list_distinct (list(T)) -> list(T)"]) { (args) throws(CELError) in
      var kept: [CELValue] = []
      for value in try args[0].list().elements() where try !CELList(kept).contains(value) { kept.append(value) }
      return .list(kept)
    }
    out.add("reverse", [".list_reverse (list(T)) -> list(T)"]) { (args) throws(CELError) in
      .list(try args[0].list().elements().reversed())
    }
    let ordered = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"]
    out.add("sort", ordered.map { ".list_\($0)_sort (list(\($0))) -> list(\($0))" }) { (args) throws(CELError) in
      let values = try args[0].list().elements()
      return .list(try sorted(values, by: values))
    }
    out.add("@sortBy", ordered.map { "list_\($0)_sortBy (list(T), list(\($0))) -> list(T)" }) {
      (args) throws(CELError) in
      .list(try sorted(try args[0].list().elements(), by: try args[1].list().elements()))
    }
    return out
  }()

  private static func flattened(_ list: CELList, _ depth: Int) throws(CELError) -> [CELValue] {
    var out: [CELValue] = []
    for value in try list.elements() {
      if depth > 0, case .list(let inner) = value {
        out += try flattened(inner, depth - 1)
      } else {
        out.append(value)
      }
    }
    return out
  }

  private static func sorted(_ values: [CELValue], by keys: [CELValue]) throws(CELError) -> [CELValue] {
    if let first = keys.first {
      for key in keys {
        guard key.type == first.type else { throw CELError("list elements must have the same type") }
        // Fails for what has no order.
        _ = try key.order(first)
      }
    }
    let order = keys.indices.sorted { a, b in
      let outcome = (try? keys[a].order(keys[b])) ?? 0
      return outcome == 0 ? a < b : outcome < 0
    }
    return order.map { values[$0] }
  }

  /// Lists as sets.
  static let sets: CELLibrary = {
    var out = CELLibrary("sets")
    @Sendable func holds(_ a: CELList, _ b: CELList) throws(CELError) -> Bool {
      for value in try b.elements() where try !a.contains(value) { return false }
      return true
    }
    out.add("sets.contains", ["list_sets_contains_list (list(T), list(T)) -> bool"]) { (args) throws(CELError) in
      .bool(try holds(try args[0].list(), try args[1].list()))
    }
    out.add("sets.equivalent", ["list_sets_equivalent_list (list(T), list(T)) -> bool"]) { (args) throws(CELError) in
      let (a, b) = (try args[0].list(), try args[1].list())
      guard try holds(a, b) else { return .bool(false) }
      return .bool(try holds(b, a))
    }
    out.add("sets.intersects", ["list_sets_intersects_list (list(T), list(T)) -> bool"]) { (args) throws(CELError) in
      let a = try args[0].list()
      for value in try args[1].list().elements() where try a.contains(value) { return .bool(true) }
      return .bool(false)
    }
    return out
  }()

  /// Regular expressions.
  static let regex: CELLibrary = {
    var out = CELLibrary("kubernetes.regex")
    out.add("find", [".string_find_string (string, string) -> string"]) { (args) throws(CELError) in
      let text = Array(try args[0].string().unicodeScalars)
      let match = try RE2.cached(try args[1].string()).firstMatch(in: text, from: 0)
      return .string(match.map { Array(text[$0[0]..<$0[1]]).text } ?? "")
    }
    out.add(
      "findAll",
      [
        ".string_find_all_string (string, string) -> list(string)",
        ".string_find_all_string_int (string, string, int) -> list(string)",
      ]
    ) { (args) throws(CELError) in
      let text = Array(try args[0].string().unicodeScalars)
      let limit = args.count > 2 ? Int(try args[2].int()) : -1
      let matches = try RE2.cached(try args[1].string()).allMatches(in: text, limit: limit < 0 ? .max : limit)
      return .list(matches.map { .string(Array(text[$0[0]..<$0[1]]).text) })
    }
    return out
  }()
}
