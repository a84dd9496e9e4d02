public import APIMachinery
import CEL

extension StructuralSchema {
  /// What is wrong with an object, in upstream's words. With `old`, errors of parts that did not change are left out
  /// (KEP-4008, ratcheting).
  public func validate(_ value: JSONValue, old: JSONValue? = nil, at path: String = "") -> [FieldError] {
    var validator = ValueValidator()
    validator.check(value, old: old, constraints, self, path: path)
    return validator.errors
  }

  /// Elements that stand twice in sets and maps.
  public func validateLists(_ value: JSONValue, at path: FieldPath = FieldPath()) -> [FieldError] {
    var errors: [FieldError] = []
    checkLists(value, path, &errors)
    return errors
  }

  private func checkLists(_ value: JSONValue, _ path: FieldPath, _ errors: inout [FieldError]) {
    switch value {
    case .object(let members):
      for name in members.keys.sorted() {
        if let schema = properties[name] {
          schema.checkLists(members[name] ?? .null, path.child(name), &errors)
        } else if let additionalProperties {
          additionalProperties.checkLists(members[name] ?? .null, path.key(name), &errors)
        }
      }
    case .array(let elements):
      if listType != .atomic {
        var seen: Set<JSONValue> = []
        var told: Set<JSONValue> = []
        for (at, element) in elements.enumerated() {
          let key = listType == .set ? element : mapKey(element)
          if !seen.insert(key).inserted, told.insert(key).inserted {
            errors.append(.duplicate(path.index(at), JSONText(key)))
          }
        }
      }
      guard let items else { return }
      for (at, element) in elements.enumerated() { items.checkLists(element, path.index(at), &errors) }
    default: break
    }
  }

  private func mapKey(_ element: JSONValue) -> JSONValue {
    var key: [String: JSONValue] = [:]
    for name in listMapKeys { key[name] = element[name] }
    return .object(key)
  }
}

/// Any JSON as errors show it.
struct JSONText: FieldValue {
  let value: JSONValue
  init(_ value: JSONValue) { self.value = value }

  var fieldErrorText: String {
    if case .string(let text) = value { return goQuoted(text) }
    return String(decoding: value.encoded(), as: UTF8.self)
  }
}

/// Walks a value beside its schema and its previous state.
struct ValueValidator {
  var errors: [FieldError] = []

  mutating func check(
    _ value: JSONValue, old: JSONValue?, _ c: ValueConstraints, _ schema: StructuralSchema?, path: String
  ) {
    if let old, old == value { return }

    if value == .null {
      if c.isNullable || c.type.isEmpty { return }
      return typeError(c.type, "null", path)
    }
    guard checkType(value, c, path) else { return }
    checkAlternatives(value, c, path)
    if !c.enumValues.isEmpty, !c.enumValues.contains(where: { sameNumber($0, value) }) {
      errors.append(
        .notSupported(FieldPath(path), JSONText(value), c.enumValues.map { $0.stringValue ?? text($0) }))
    }
    switch value {
    case .string(let text): checkString(text, c, path)
    case .int(let number): checkNumber(Double(number), value, c, path)
    case .double(let number): checkNumber(number, value, c, path)
    case .array(let elements): checkArray(elements, old: old, c, schema, path)
    case .object(let members): checkObject(members, old: old, c, schema, path)
    default: break
    }
  }

  // MARK: Scalars

  private func text(_ value: JSONValue) -> String { String(decoding: value.encoded(), as: UTF8.self) }

  private func sameNumber(_ a: JSONValue, _ b: JSONValue) -> Bool {
    if a == b { return true }
    guard let x = a.doubleValue, let y = b.doubleValue else { return false }
    return x == y
  }

  private mutating func typeError(_ wanted: String, _ found: String, _ path: String) {
    errors.append(
      .typeInvalid(FieldPath(path), found, "\(path) in body must be of type \(wanted): \(goQuoted(found))"))
  }

  private mutating func checkType(_ value: JSONValue, _ c: ValueConstraints, _ path: String) -> Bool {
    let found = Self.typeName(value)
    if c.isIntOrString {
      if found == "integer" || found == "string" { return true }
      typeError("integer,string", found, path)
      return false
    }
    if c.type.isEmpty || c.type == found || (c.type == "number" && found == "integer") { return true }
    if c.type == "integer", case .double(let number) = value, number == number.rounded(), number.magnitude < 9e18 {
      return true
    }
    typeError(c.type, found, path)
    return false
  }

  static func typeName(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool: "boolean"
    case .int: "integer"
    case .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  private mutating func invalid(_ value: JSONValue, _ path: String, _ what: String) {
    errors.append(.invalid(FieldPath(path), JSONText(value), "\(path) in body \(what)"))
  }

  private mutating func checkString(_ text: String, _ c: ValueConstraints, _ path: String) {
    // Characters are counted as Go counts runes.
    if c.maxLength != nil || c.minLength != nil {
      let length = Int64(text.unicodeScalars.count)
      if let most = c.maxLength, length > most {
        errors.append(
          FieldError(
            type: .tooLong, field: path,
            detail: most >= 0 ? "may not be more than \(most) byte\(most == 1 ? "" : "s")" : "value is too long"))
      }
      if let least = c.minLength, length < least {
        invalid(.string(text), path, "should be at least \(least) chars long")
      }
    }
    if let expression = c.expression, !expression.matches(text) {
      invalid(.string(text), path, "should match '\(c.pattern)'")
    }
    if !c.format.isEmpty, let matches = StringFormat.check(text, c.format), !matches {
      errors.append(
        .typeInvalid(FieldPath(path), text, "\(path) in body must be of type \(c.format): \(goQuoted(text))"))
    }
  }

  private mutating func checkNumber(_ number: Double, _ value: JSONValue, _ c: ValueConstraints, _ path: String) {
    if let factor = c.multipleOf, factor > 0 {
      let quotient = number / factor
      if quotient != quotient.rounded() { invalid(value, path, "should be a multiple of \(shown(factor))") }
    }
    if let most = c.maximum {
      if c.exclusiveMaximum, number >= most {
        invalid(value, path, "should be less than \(shown(most))")
      } else if number > most {
        invalid(value, path, "should be less than or equal to \(shown(most))")
      }
    }
    if let least = c.minimum {
      if c.exclusiveMinimum, number <= least {
        invalid(value, path, "should be greater than \(shown(least))")
      } else if number < least {
        invalid(value, path, "should be greater than or equal to \(shown(least))")
      }
    }
    if c.format == "int32", number > Double(Int32.max) || number < Double(Int32.min) {
      invalid(value, path, "must be of type int32: \"\(text(value))\"")
    }
  }

  private func shown(_ number: Double) -> String {
    number == number.rounded() && number.magnitude < 1e15 ? String(Int64(number)) : "\(number)"
  }

  // MARK: Collections

  private mutating func checkArray(
    _ elements: [JSONValue], old: JSONValue?, _ c: ValueConstraints, _ schema: StructuralSchema?, _ path: String
  ) {
    if let least = c.minItems, elements.count < least {
      invalid(.int(Int64(elements.count)), path, "should have at least \(least) items")
    }
    if let most = c.maxItems, elements.count > most {
      errors.append(.tooMany(FieldPath(path), actual: elements.count, max: Int(most)))
    }
    if c.uniqueItems, Set(elements).count != elements.count {
      errors.append(
        .invalid(FieldPath(path), JSONText(.array(elements)), "\(path) in body shouldn't contain duplicates"))
    }
    guard let items = c.items else { return }
    let previous = schema.map { Correlation(old, $0) }
    for (at, element) in elements.enumerated() {
      check(element, old: previous?.element(element, at), items, schema?.items, path: "\(path)[\(at)]")
    }
  }

  private mutating func checkObject(
    _ members: [String: JSONValue], old: JSONValue?, _ c: ValueConstraints, _ schema: StructuralSchema?, _ path: String
  ) {
    func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
    if let least = c.minProperties, members.count < least {
      invalid(.int(Int64(members.count)), path, "should have at least \(least) properties")
    }
    if let most = c.maxProperties, members.count > most {
      errors.append(.tooMany(FieldPath(path), actual: members.count, max: Int(most)))
    }
    for name in c.required where members[name] == nil { errors.append(.required(FieldPath(place(name)))) }
    for name in members.keys.sorted() {
      guard let value = members[name], let inner = c.properties[name] ?? c.additionalProperties else { continue }
      check(value, old: old?[name], inner, schema?.member(name), path: place(name))
    }
  }

  // MARK: Alternatives

  private mutating func checkAlternatives(_ value: JSONValue, _ c: ValueConstraints, _ path: String) {
    func errors(_ constraints: ValueConstraints) -> [FieldError] {
      var inner = ValueValidator()
      inner.check(value, old: nil, constraints, nil, path: path)
      return inner.errors
    }
    /// Upstream tells of these without a field.
    func composite(_ text: String) -> FieldError {
      FieldError(type: .invalid, field: "<nil>", badValue: "\"\"", detail: "\"\(path)\" \(text)")
    }
    func best(_ failures: [[FieldError]]) -> [FieldError] { failures.min { $0.count < $1.count } ?? [] }
    if !c.anyOf.isEmpty {
      let failures = c.anyOf.map(errors)
      if !failures.contains(where: \.isEmpty) {
        self.errors.append(composite("must validate at least one schema (anyOf)"))
        self.errors += best(failures)
      }
    }
    if !c.oneOf.isEmpty {
      let failures = c.oneOf.map(errors)
      let valid = failures.filter(\.isEmpty).count
      if valid != 1 {
        let found = valid == 0 ? "Found none valid" : "Found \(valid) valid alternatives"
        self.errors.append(composite("must validate one and only one schema (oneOf). \(found)"))
        if valid == 0 { self.errors += best(failures) }
      }
    }
    for constraints in c.allOf {
      let failures = errors(constraints)
      if !failures.isEmpty { self.errors += failures }
    }
    if let not = c.not, errors(not).isEmpty {
      self.errors.append(composite("must not validate the schema (not)"))
    }
  }
}

/// Finds the previous state of a list's elements, where the list's type says which belongs to which.
struct Correlation {
  private let old: [JSONValue]
  private let schema: StructuralSchema

  init(_ old: JSONValue?, _ schema: StructuralSchema) {
    self.old = old?.arrayValue ?? []
    self.schema = schema
  }

  func element(_ element: JSONValue, _ index: Int) -> JSONValue? {
    switch schema.listType {
    case .map:
      old.first { candidate in schema.listMapKeys.allSatisfy { candidate[$0] == element[$0] } }
    case .set: old.first { $0 == element }
    case .atomic: nil
    }
  }
}

extension StructuralSchema {
  /// What embedded objects lack: type and a valid name.
  public func validateEmbedded(_ value: JSONValue, at path: FieldPath = FieldPath()) -> [FieldError] {
    var errors: [FieldError] = []
    checkEmbedded(value, path, &errors)
    return errors
  }

  private func checkEmbedded(_ value: JSONValue, _ path: FieldPath, _ errors: inout [FieldError]) {
    if isEmbeddedResource, value.objectValue != nil {
      for name in ["apiVersion", "kind"] {
        switch value[name] {
        case .string(let text): if text.isEmpty { errors.append(.required(path.child(name), "must not be empty")) }
        case nil: errors.append(.required(path.child(name), "must not be empty"))
        case .some(let other):
          errors.append(.typeInvalid(path.child(name), JSONText(other), "must be a string"))
        }
      }
    }
    switch value {
    case .object(let members):
      for name in members.keys.sorted() {
        guard let member = members[name] else { continue }
        if let inner = properties[name] {
          inner.checkEmbedded(member, path.child(name), &errors)
        } else {
          additionalProperties?.checkEmbedded(member, path.key(name), &errors)
        }
      }
    case .array(let elements):
      for (at, element) in elements.enumerated() { items?.checkEmbedded(element, path.index(at), &errors) }
    default: break
    }
  }
}
