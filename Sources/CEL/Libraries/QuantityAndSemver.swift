internal import APIMachinery

/// resource.Quantity.
final class CELQuantity: CELOpaque, CustomStringConvertible {
  let typeName = "kubernetes.Quantity"
  let quantity: Quantity
  init(_ quantity: Quantity) { self.quantity = quantity }
  func isEqual(to other: any CELOpaque) -> Bool { (other as? CELQuantity)?.quantity == quantity }
  var description: String { quantity.description }

  /// The amount as a whole number, if it is one.
  var whole: Int64? {
    let value = quantity.value
    return Quantity(value) == quantity ? value : nil
  }
}

/// A version, by semver.org's rules.
final class CELSemver: CELOpaque, CustomStringConvertible {
  let typeName = "kubernetes.Semver"
  let numbers: [UInt64]
  let prerelease: [String]
  let build: String
  init(_ numbers: [UInt64], _ prerelease: [String], _ build: String) {
    self.numbers = numbers
    self.prerelease = prerelease
    self.build = build
  }

  /// Build metadata takes no part.
  func isEqual(to other: any CELOpaque) -> Bool { (other as? CELSemver).map { order($0) == 0 } ?? false }

  var description: String {
    var out = numbers.map { String($0) }.joined(separator: ".")
    if !prerelease.isEmpty { out += "-" + prerelease.joined(separator: ".") }
    return build.isEmpty ? out : out + "+" + build
  }

  func order(_ other: CELSemver) -> Int {
    for (a, b) in zip(numbers, other.numbers) where a != b { return a < b ? -1 : 1 }
    switch (prerelease.isEmpty, other.prerelease.isEmpty) {
    case (true, true): return 0
    case (true, false): return 1
    case (false, true): return -1
    default: break
    }
    for (a, b) in zip(prerelease, other.prerelease) where a != b {
      switch (UInt64(a), UInt64(b)) {
      case (let x?, let y?): return x < y ? -1 : 1
      case (_?, nil): return -1
      case (nil, _?): return 1
      default: return a.byteOrder(b)
      }
    }
    let (a, b) = (prerelease.count, other.prerelease.count)
    return a == b ? 0 : a < b ? -1 : 1
  }

  static func parse(_ text: String, normalize: Bool) throws(CELError) -> CELSemver {
    func failure(_ why: String) -> CELError { CELError(why) }
    var text = text
    if normalize, text.hasPrefix("v") { text.removeFirst() }
    var rest = text[...]
    var build = ""
    var prerelease: [String] = []
    if let plus = rest.firstIndex(of: "+") {
      build = String(rest[rest.index(after: plus)...])
      rest = rest[..<plus]
      if build.split(separator: ".", omittingEmptySubsequences: false).contains(where: { !identifier($0) }) {
        throw failure("Invalid character(s) found in build meta data \"\(build)\"")
      }
    }
    if let dash = rest.firstIndex(of: "-") {
      prerelease = rest[rest.index(after: dash)...].split(separator: ".", omittingEmptySubsequences: false)
        .map(String.init)
      rest = rest[..<dash]
      for part in prerelease {
        if !identifier(part[...]) { throw failure("Invalid character(s) found in prerelease \"\(part)\"") }
        if part.utf8.allSatisfy(\.isDigit), part.count > 1, part.first == "0" {
          throw failure("Numeric PreRelease version must not contain leading zeroes \"\(part)\"")
        }
      }
    }
    var parts = rest.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if normalize {
      while parts.count < 3 { parts.append("0") }
      parts = parts.map { part in
        let digits = String(part.drop { $0 == "0" })
        return part.isEmpty || !digits.isEmpty ? digits : "0"
      }
    }
    guard parts.count == 3 else { throw failure("No Major.Minor.Patch elements found") }
    var numbers: [UInt64] = []
    for (part, name) in zip(parts, ["major", "minor", "patch"]) {
      guard !part.isEmpty, part.utf8.allSatisfy(\.isDigit), let number = UInt64(part) else {
        throw failure("Invalid character(s) found in \(name) number \"\(part)\"")
      }
      if part.count > 1, part.first == "0" {
        throw failure(
          "\(name.prefix(1).uppercased())\(name.dropFirst()) number must not contain leading zeroes \"\(part)\"")
      }
      numbers.append(number)
    }
    return CELSemver(numbers, prerelease, build)
  }

  private static func identifier(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "-") }
  }
}

extension CELLibrary {
  static let quantity: CELLibrary = {
    let type = "kubernetes.Quantity"
    var out = CELLibrary("kubernetes.quantity")
    out.types = [type: .opaque(type, [])]
    @Sendable func value(_ value: CELValue) throws(CELError) -> CELQuantity {
      guard case .opaque(let opaque) = value, let quantity = opaque as? CELQuantity else { throw .noSuchOverload }
      return quantity
    }
    @Sendable func parse(_ text: String) throws(CELError) -> Quantity {
      do { return try Quantity(parsing: text) } catch { throw CELError("\(error)") }
    }
    out.add("quantity", ["string_to_quantity (string) -> \(type)"]) { (args) throws(CELError) in
      .opaque(CELQuantity(try parse(try args[0].string())))
    }
    out.add("isQuantity", ["is_quantity_string (string) -> bool"]) { (args) throws(CELError) in
      let text = try args[0].string()
      return .bool((try? Quantity(parsing: text)) != nil)
    }
    out.add("sign", [".quantity_sign (\(type)) -> int"]) { (args) throws(CELError) in
      .int(Int64(try value(args[0]).quantity.sign))
    }
    out.add("isInteger", [".quantity_is_integer (\(type)) -> bool"]) { (args) throws(CELError) in
      .bool(try value(args[0]).whole != nil)
    }
    out.add("asInteger", [".quantity_get_int (\(type)) -> int"]) { (args) throws(CELError) in
      guard let whole = try value(args[0]).whole else { throw CELError("cannot convert value to integer") }
      return .int(whole)
    }
    out.add("asApproximateFloat", [".quantity_get_float (\(type)) -> double"]) { (args) throws(CELError) in
      .double(try value(args[0]).quantity.approximate)
    }
    for (name, negative) in [("add", false), ("sub", true)] {
      out.add(
        name, [".quantity_\(name) (\(type), \(type)) -> \(type)", ".quantity_\(name)_int (\(type), int) -> \(type)"]
      ) { (args) throws(CELError) in
        let left = try value(args[0]).quantity
        let right: Quantity
        if case .int(let int) = args[1] { right = Quantity(int) } else { right = try value(args[1]).quantity }
        return .opaque(CELQuantity(negative ? left - right : left + right))
      }
    }
    out.compares(type) { (a, b) throws(CELError) in
      let (a, b) = (try value(a).quantity, try value(b).quantity)
      return a == b ? 0 : a < b ? -1 : 1
    }
    return out
  }()

  static let semver: CELLibrary = {
    let type = "kubernetes.Semver"
    var out = CELLibrary("kubernetes.semver")
    out.types = [type: .opaque(type, [])]
    @Sendable func value(_ value: CELValue) throws(CELError) -> CELSemver {
      guard case .opaque(let opaque) = value, let version = opaque as? CELSemver else { throw .noSuchOverload }
      return version
    }
    @Sendable func normalizes(_ args: [CELValue]) throws(CELError) -> Bool {
      guard args.count > 1 else { return false }
      guard case .bool(let flag) = args[1] else { throw .noSuchOverload }
      return flag
    }
    out.add("semver", ["string_to_semver (string) -> \(type)", "string_bool_to_semver (string, bool) -> \(type)"]) {
      (args) throws(CELError) in
      .opaque(try CELSemver.parse(try args[0].string(), normalize: try normalizes(args)))
    }
    out.add("isSemver", ["is_semver_string (string) -> bool", "is_semver_string_bool (string, bool) -> bool"]) {
      (args) throws(CELError) in
      let (text, flag) = (try args[0].string(), try normalizes(args))
      return .bool((try? CELSemver.parse(text, normalize: flag)) != nil)
    }
    for (i, name) in ["major", "minor", "patch"].enumerated() {
      out.add(name, [".semver_\(name) (\(type)) -> int"]) { (args) throws(CELError) in
        .int(Int64(clamping: try value(args[0]).numbers[i]))
      }
    }
    out.compares(type) { (a, b) throws(CELError) in try value(a).order(try value(b)) }
    return out
  }()

  private mutating func compares(
    _ type: String, _ order: @escaping @Sendable (CELValue, CELValue) throws(CELError) -> Int
  ) {
    add("isGreaterThan", [".is_greater_than (\(type), \(type)) -> bool"]) { (args) throws(CELError) in
      .bool(try order(args[0], args[1]) > 0)
    }
    add("isLessThan", [".is_less_than (\(type), \(type)) -> bool"]) { (args) throws(CELError) in
      .bool(try order(args[0], args[1]) < 0)
    }
    add("compareTo", [".compare_to (\(type), \(type)) -> int"]) { (args) throws(CELError) in
      .int(Int64(try order(args[0], args[1])))
    }
  }
}
