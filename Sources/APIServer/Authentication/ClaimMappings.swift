import APIMachinery
import CEL

/// An expression over a token's claims or over the user they make.
struct ClaimExpression: Sendable {
  let source: String
  let program: CELProgram

  static let callLimit: UInt64 = 1_000_000
  static let budget: UInt64 = 10_000_000

  enum Subject { case claims, user }

  /// Compiles; `wanted`: the type that it must have. Throws what is wrong, as validation words it.
  init(_ source: String, over subject: Subject, is wanted: CELType? = nil) throws(ConfigurationProblem) {
    self.source = source
    do throws(CELErrors) {
      program = try (subject == .claims ? Self.claims : Self.user).compile(source)
    } catch {
      throw ConfigurationProblem(description: "compilation failed: \(error)")
    }
    if let wanted, program.resultType != wanted {
      throw ConfigurationProblem(description: "must evaluate to \(wanted)")
    }
  }

  private static let claims: CELEnvironment = {
    var environment = CELEnvironment()
    environment.declare("claims", .map(.string, .dyn))
    return environment
  }()

  private static let userType = CELSchemaType.object(
    "kubernetes.UserInfo",
    [
      ("username", .plain(.string)), ("uid", .plain(.string)), ("groups", .plain(.list(.string))),
      ("extra", .plain(.map(.string, .list(.string)))),
    ])

  private static let user: CELEnvironment = {
    var environment = CELEnvironment()
    environment.declare("user", userType)
    return environment
  }()

  func evaluate(_ activation: CELActivation, _ budget: inout UInt64) throws(CELError) -> CELValue {
    do throws(CELError) {
      return try program.evaluate(activation, costLimit: Self.callLimit, budget: &budget)
    } catch {
      throw CELError("expression '\(source)' resulted in error: \(error)", kind: error.kind)
    }
  }

  static func activation(claims: [String: JSONValue]) throws(CELError) -> CELActivation {
    CELActivation(["claims": try CELValue(json: .object(claims))])
  }

  static func activation(user: UserInfo) -> CELActivation {
    let fields: [String: JSONValue] = [
      "username": .string(user.name), "uid": .string(user.uid), "groups": .array(user.groups.map { .string($0) }),
      "extra": .object(user.extra.mapValues { .array($0.map { .string($0) }) }),
    ]
    return CELActivation(["user": .object(CELObject(json: fields, schema: userType))])
  }

  /// Whether the source selects a field of `claims`. Texts in it do not count.
  func selects(_ field: String) -> Bool {
    let words = Self.words(source)
    for index in words.indices where words[index] == "claims" && (index == 0 || words[index - 1] != ".") {
      var next = index + 1
      guard next < words.count, words[next] == "." else { continue }
      next += 1
      if next < words.count, words[next] == "?" { next += 1 }
      if next < words.count, words[next] == field { return true }
    }
    return false
  }

  private static func words(_ source: String) -> [Substring] {
    var words: [Substring] = []
    var rest = source[...]
    while let first = rest.first {
      if first == "\"" || first == "'" {
        rest.removeFirst()
        while let next = rest.popFirst(), next != first { if next == "\\" { _ = rest.popFirst() } }
        words.append("\"")
      } else if first.isLetter || first.isNumber || first == "_" {
        let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        words.append(word)
        rest = rest[word.endIndex...]
      } else {
        if !first.isWhitespace { words.append(rest.prefix(1)) }
        rest.removeFirst()
      }
    }
    return words
  }
}

/// How a token's claims make a user, and what they must be.
struct ClaimMappings: Sendable {
  /// One attribute of the user.
  enum Source: Sendable {
    case nothing
    case claim(String, prefix: String)
    case expression(ClaimExpression)
  }
  struct Rule: Sendable {
    var expression: ClaimExpression
    var message: String
  }
  struct Refusal: Error, CustomStringConvertible {
    var description: String
  }

  var username = Source.nothing
  var groups = Source.nothing
  var uid = Source.nothing
  var extra: [(key: String, expression: ClaimExpression)] = []
  var requiredClaims: [(claim: String, value: String)] = []
  var claimRules: [Rule] = []
  var userRules: [Rule] = []

  /// The user whom the claims describe. Throws `Refusal` where they may not be used.
  func user(_ claims: [String: JSONValue]) throws -> UserInfo {
    var budget = ClaimExpression.budget
    let activation: CELActivation
    do throws(CELError) { activation = try ClaimExpression.activation(claims: claims) } catch {
      throw Refusal(description: "oidc: could not convert claims to unstructured: \(error)")
    }
    var user = UserInfo(name: try name(claims, activation, &budget))
    user.groups = try groups(claims, activation, &budget)
    user.uid = try uid(claims, activation, &budget)
    for mapping in extra {
      let place = "oidc: error evaluating extra claim expression: \(mapping.expression.source)"
      let values = try Self.texts(value(mapping.expression, activation, &budget, place), place)
      if !values.isEmpty { user.extra[mapping.key] = values }
    }
    for required in requiredClaims {
      guard let value = claims[required.claim] else {
        throw Refusal(description: "oidc: required claim \(required.claim) not present in ID token")
      }
      guard let text = value.stringValue else {
        throw Refusal(description: "oidc: parse claim \(required.claim): \(Self.mismatch(value, "string"))")
      }
      if text != required.value {
        throw Refusal(
          description: "oidc: required claim \(required.claim) value does not match. Got = \(text), want = "
            + required.value)
      }
    }
    try check(claimRules, activation, &budget, "oidc: error evaluating claim validation expression")
    budget = ClaimExpression.budget
    try check(
      userRules, ClaimExpression.activation(user: user), &budget, "oidc: error evaluating user info validation rule")
    return user
  }

  private func name(
    _ claims: [String: JSONValue], _ activation: CELActivation, _ budget: inout UInt64
  ) throws -> String {
    switch username {
    case .nothing: return ""
    case .expression(let expression):
      let place = "oidc: error evaluating username claim expression"
      guard case .string(let text) = try value(expression, activation, &budget, place) else {
        throw Refusal(description: "\(place): username claim expression must return a string")
      }
      return text
    case .claim(let claim, let prefix):
      let text = try Self.text(claims, claim, "oidc: parse username claims \(goQuoted(claim))")
      if claim == "email", let verified = claims["email_verified"] {
        guard let isVerified = verified.boolValue else {
          throw Refusal(description: "oidc: parse 'email_verified' claim: \(Self.mismatch(verified, "bool"))")
        }
        if !isVerified { throw Refusal(description: "oidc: email not verified") }
      }
      return prefix + text
    }
  }

  private func groups(
    _ claims: [String: JSONValue], _ activation: CELActivation, _ budget: inout UInt64
  ) throws -> [String] {
    switch groups {
    case .nothing: return []
    case .expression(let expression):
      let place = "oidc: error evaluating group claim expression"
      return try Self.texts(value(expression, activation, &budget, place), place)
    case .claim(let claim, let prefix):
      guard let value = claims[claim] else { return [] }
      if let text = value.stringValue { return [prefix + text] }
      guard let list = value.arrayValue, list.allSatisfy({ $0.stringValue != nil }) else {
        throw Refusal(description: "oidc: parse groups claim \(goQuoted(claim)): \(Self.mismatch(value, "string"))")
      }
      return list.compactMap(\.stringValue).map { prefix + $0 }
    }
  }

  private func uid(
    _ claims: [String: JSONValue], _ activation: CELActivation, _ budget: inout UInt64
  ) throws -> String {
    switch uid {
    case .nothing: return ""
    case .claim(let claim, _): return try Self.text(claims, claim, "oidc: parse uid claim \(goQuoted(claim))")
    case .expression(let expression):
      let place = "oidc: error evaluating uid claim expression"
      guard case .string(let text) = try value(expression, activation, &budget, place) else {
        throw Refusal(description: "\(place): uid claim expression must return a string")
      }
      return text
    }
  }

  private func check(
    _ rules: [Rule], _ activation: CELActivation, _ budget: inout UInt64, _ place: String
  ) throws {
    for rule in rules {
      guard case .bool(let holds) = try value(rule.expression, activation, &budget, place) else {
        throw Refusal(description: "\(place): validation expression must return a boolean")
      }
      if !holds {
        throw Refusal(
          description: "\(place): validation expression '\(rule.expression.source)' failed: \(rule.message)")
      }
    }
  }

  private func value(
    _ expression: ClaimExpression, _ activation: CELActivation, _ budget: inout UInt64, _ place: String
  ) throws -> CELValue {
    do throws(CELError) { return try expression.evaluate(activation, &budget) } catch {
      throw Refusal(description: "\(place): \(error)")
    }
  }

  private static func text(_ claims: [String: JSONValue], _ name: String, _ place: String) throws -> String {
    guard let value = claims[name] else { throw Refusal(description: "\(place): claim not present") }
    guard let text = value.stringValue else { throw Refusal(description: "\(place): \(mismatch(value, "string"))") }
    return text
  }

  private static func mismatch(_ value: JSONValue, _ wanted: String) -> String {
    let kind =
      switch value {
      case .null: "null"
      case .bool: "bool"
      case .int, .double: "number"
      case .string: "string"
      case .array: "array"
      case .object: "object"
      }
    return "json: cannot unmarshal \(kind) into Go value of type \(wanted)"
  }

  /// One text or several; what is empty counts for nothing.
  private static func texts(_ value: CELValue, _ place: String) throws -> [String] {
    switch value {
    case .null: return []
    case .string(let text): return text.isEmpty ? [] : [text]
    case .list(let list):
      if let elements = try? list.elements() {
        let texts = elements.compactMap { element in if case .string(let text) = element { text } else { nil } }
        if texts.count == elements.count { return texts.filter { !$0.isEmpty } }
      }
    default: break
    }
    throw Refusal(description: "\(place): expression must return a string or a list of strings")
  }
}
