extension CELValue {
  /// CEL's equality: numbers compare across their types, values of different types are unequal.
  public func isEqual(to other: CELValue) throws(CELError) -> Bool {
    switch (self, other) {
    case (.null, .null): return true
    case (.bool(let a), .bool(let b)): return a == b
    case (.string(let a), .string(let b)): return a.sameBytes(as: b)
    case (.bytes(let a), .bytes(let b)): return a == b
    case (.timestamp(let a), .timestamp(let b)): return a == b
    case (.duration(let a), .duration(let b)): return a == b
    case (.type(let a), .type(let b)): return a.runtimeName == b.runtimeName
    case (.optional(let a), .optional(let b)):
      guard let a, let b else { return a == nil && b == nil }
      return try a.isEqual(to: b)
    case (.opaque(let a), .opaque(let b)): return a.isEqual(to: b)
    case (.list(let a), .list(let b)): return try a.isEqual(to: b)
    case (.map(let a), .map(let b)):
      guard a.count == b.count else { return false }
      for key in a.keys {
        guard let left = try a.value(key), let right = try b.value(key), try left.isEqual(to: right) else {
          return false
        }
      }
      return true
    case (.object(let a), .object(let b)):
      guard a.typeName == b.typeName else { return false }
      let names = a.setFields
      guard names == b.setFields else { return false }
      for name in names {
        guard let left = try a.field(name), let right = try b.field(name), try left.isEqual(to: right) else {
          return false
        }
      }
      return true
    default: return numericOrder(self, other) == 0
    }
  }

  /// -1, 0, 1 in CEL's order; nil where one of two numbers is NaN.
  func order(_ other: CELValue) throws(CELError) -> Int? {
    switch (self, other) {
    case (.bool(let a), .bool(let b)): return a == b ? 0 : a ? 1 : -1
    case (.string(let a), .string(let b)): return a.byteOrder(b)
    case (.bytes(let a), .bytes(let b)): return a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
    case (.timestamp(let a), .timestamp(let b)): return a == b ? 0 : a < b ? -1 : 1
    case (.duration(let a), .duration(let b)): return a == b ? 0 : a < b ? -1 : 1
    case (.int, .int), (.int, .uint), (.int, .double), (.uint, .int), (.uint, .uint), (.uint, .double),
      (.double, .int), (.double, .uint), (.double, .double):
      return numericOrder(self, other)
    default: throw .noSuchOverload
    }
  }
}

/// The order of two numbers, exact across types; nil if one is NaN or no number.
private func numericOrder(_ a: CELValue, _ b: CELValue) -> Int? {
  func sign<T: Comparable>(_ a: T, _ b: T) -> Int { a == b ? 0 : a < b ? -1 : 1 }
  switch (a, b) {
  case (.int(let a), .int(let b)): return sign(a, b)
  case (.uint(let a), .uint(let b)): return sign(a, b)
  case (.double(let a), .double(let b)): return a.isNaN || b.isNaN ? nil : sign(a, b)
  case (.int(let a), .uint(let b)): return a < 0 ? -1 : sign(UInt64(a), b)
  case (.uint(let a), .int(let b)): return b < 0 ? 1 : sign(a, UInt64(b))
  case (.int(let a), .double(let b)): return order(Double(a), b, within: -9_223_372_036_854_775_808.0)
  case (.uint(let a), .double(let b)): return order(Double(a), b, within: 0)
  case (.double(let a), .int(let b)): return order(Double(b), a, within: -9_223_372_036_854_775_808.0).map { -$0 }
  case (.double(let a), .uint(let b)): return order(Double(b), a, within: 0).map { -$0 }
  default: return nil
  }
}

/// As cel-go compares an integer with a double: as doubles, once the double is in the integer's range.
private func order(_ a: Double, _ b: Double, within low: Double) -> Int? {
  if b.isNaN { return nil }
  if b < low { return 1 }
  return a == b ? 0 : a < b ? -1 : 1
}

extension CELList {
  func isEqual(to other: CELList) throws(CELError) -> Bool {
    guard count == other.count else { return false }
    switch listType {
    case .atomic:
      for i in 0..<count where try !element(i).isEqual(to: other.element(i)) { return false }
      return true
    case .set, .map:
      // Order means nothing in these.
      let mine = try elements()
      for theirs in try other.elements() {
        var found = false
        for value in mine where try value.isEqual(to: theirs) {
          found = true
          break
        }
        if !found { return false }
      }
      return true
    }
  }

  func contains(_ value: CELValue) throws(CELError) -> Bool {
    for i in 0..<count where try element(i).isEqual(to: value) { return true }
    return false
  }

  /// `a + b`: appended; in sets and maps, merged by value or key, as server-side apply would.
  func adding(_ other: CELList) throws(CELError) -> CELList {
    var out = try elements()
    switch listType {
    case .atomic: out += try other.elements()
    case .set:
      let before = CELList(out)
      for value in try other.elements() where try !before.contains(value) { out.append(value) }
    case .map:
      let keys = listKeys
      let before = out
      for value in try other.elements() {
        var place: Int?
        for (i, old) in before.enumerated() where try old.sharesKeys(keys, with: value) {
          place = i
          break
        }
        if let place { out[place] = value } else { out.append(value) }
      }
    }
    return CELList(out)
  }
}

extension CELValue {
  fileprivate func sharesKeys(_ keys: [String], with other: CELValue) throws(CELError) -> Bool {
    guard case .object(let a) = self, case .object(let b) = other else { return false }
    for key in keys {
      let name = CELIdentifier.escape(key) ?? key
      let (left, right) = (try a.field(name), try b.field(name))
      guard let left, let right else {
        if left == nil, right == nil { continue }
        return false
      }
      if try !left.isEqual(to: right) { return false }
    }
    return true
  }
}

extension String {
  /// Swift's own equality takes canonically equivalent strings for equal; CEL compares code points.
  func sameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

  func byteOrder(_ other: String) -> Int {
    var (a, b) = (utf8.makeIterator(), other.utf8.makeIterator())
    while true {
      switch (a.next(), b.next()) {
      case (nil, nil): return 0
      case (nil, _): return -1
      case (_, nil): return 1
      case (let x?, let y?): if x != y { return x < y ? -1 : 1 }
      }
    }
  }
}
