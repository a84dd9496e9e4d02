private import APIMachinery

extension CELLibrary {
  /// `math.greatest` and its like.
  static let math: CELLibrary = {
    var out = CELLibrary("math")
    let numbers = ["int", "uint", "double"]
    for (name, wanted) in [("greatest", 1), ("least", -1)] {
      var signatures = numbers.map { "math_\(name)_\($0) (\($0)) -> \($0)" }
      for a in numbers {
        for b in numbers { signatures.append("math_\(name)_\(a)_\(b) (\(a), \(b)) -> \(a == b ? a : "dyn")") }
      }
      signatures += numbers.map { "math_\(name)_list_\($0) (list(\($0))) -> \($0)" }
      out.add("math.\(name)", signatures) { (args) throws(CELError) in
        var values = args
        if args.count == 1, case .list(let list) = args[0] { values = try list.elements() }
        guard var best = values.first else {
          throw CELError("math.@\(wanted > 0 ? "max" : "min")(list) argument must not be empty")
        }
        for value in values {
          switch value {
          case .int, .uint, .double: break
          default: throw .noSuchOverload
          }
        }
        for value in values.dropFirst() where try value.order(best) == wanted { best = value }
        return best
      }
    }
    func double(_ name: String, _ body: @escaping @Sendable (Double) -> CELValue, _ result: String) {
      out.add("math.\(name)", ["math_\(name)_double (double) -> \(result)"]) { (args) throws(CELError) in
        guard case .double(let value) = args[0] else { throw .noSuchOverload }
        return body(value)
      }
    }
    double("ceil", { .double($0.rounded(.up)) }, "double")
    double("floor", { .double($0.rounded(.down)) }, "double")
    double("round", { .double($0.rounded(.toNearestOrAwayFromZero)) }, "double")
    double("trunc", { .double($0.rounded(.towardZero)) }, "double")
    double("isInf", { .bool($0.isInfinite) }, "bool")
    double("isNaN", { .bool($0.isNaN) }, "bool")
    double("isFinite", { .bool($0.isFinite) }, "bool")
    out.add("math.sqrt", numbers.map { "math_sqrt_\($0) (\($0)) -> double" }) { (args) throws(CELError) in
      switch args[0] {
      case .int(let v): return .double(Double(v).squareRoot())
      case .uint(let v): return .double(Double(v).squareRoot())
      case .double(let v): return .double(v.squareRoot())
      default: throw .noSuchOverload
      }
    }
    out.add("math.abs", numbers.map { "math_abs_\($0) (\($0)) -> \($0)" }) { (args) throws(CELError) in
      switch args[0] {
      case .int(.min): throw .intOverflow
      case .int(let v): return .int(abs(v))
      case .uint: return args[0]
      case .double(let v): return .double(v.magnitude)
      default: throw .noSuchOverload
      }
    }
    out.add("math.sign", numbers.map { "math_sign_\($0) (\($0)) -> \($0)" }) { (args) throws(CELError) in
      switch args[0] {
      case .int(let v): return .int(v.signum())
      case .uint(let v): return .uint(v > 0 ? 1 : 0)
      case .double(let v): return v.isNaN || v == 0 ? args[0] : .double(v > 0 ? 1 : -1)
      default: throw .noSuchOverload
      }
    }
    func bits(
      _ name: String, _ int: @escaping @Sendable (Int64, Int64) -> Int64,
      _ uint: @escaping @Sendable (UInt64, UInt64) -> UInt64
    ) {
      let types = ["int", "uint"]
      out.add("math.\(name)", types.map { "math_\(name)_\($0)_\($0) (\($0), \($0)) -> \($0)" }) {
        (args) throws(CELError) in
        switch (args[0], args[1]) {
        case (.int(let a), .int(let b)): return .int(int(a, b))
        case (.uint(let a), .uint(let b)): return .uint(uint(a, b))
        default: throw .noSuchOverload
        }
      }
    }
    bits("bitAnd", { $0 & $1 }, { $0 & $1 })
    bits("bitOr", { $0 | $1 }, { $0 | $1 })
    bits("bitXor", { $0 ^ $1 }, { $0 ^ $1 })
    out.add("math.bitNot", ["math_bitNot_int_int (int) -> int", "math_bitNot_uint_uint (uint) -> uint"]) {
      (args) throws(CELError) in
      switch args[0] {
      case .int(let v): return .int(~v)
      case .uint(let v): return .uint(~v)
      default: throw .noSuchOverload
      }
    }
    for name in ["bitShiftLeft", "bitShiftRight"] {
      out.add("math.\(name)", ["math_\(name)_int_int (int, int) -> int", "math_\(name)_uint_int (uint, int) -> uint"]) {
        (args) throws(CELError) in
        let by = try args[1].int()
        guard by >= 0 else { throw CELError("math.\(name)() negative offset: \(by)") }
        let isLeft = name == "bitShiftLeft"
        switch args[0] {
        // Right shifts of ints bring in zeros.
        case .int(let v):
          let bits = UInt64(bitPattern: v)
          return .int(Int64(bitPattern: isLeft ? bits << UInt64(by) : bits >> UInt64(by)))
        case .uint(let v): return .uint(isLeft ? v << UInt64(by) : v >> UInt64(by))
        default: throw .noSuchOverload
        }
      }
    }
    return out
  }()

  /// base64.
  static let encoders: CELLibrary = {
    var out = CELLibrary("encoders")
    out.add("base64.encode", ["base64_encode_bytes (bytes) -> string"]) { (args) throws(CELError) in
      guard case .bytes(let bytes) = args[0] else { throw .noSuchOverload }
      return try CELValue.string(CELValue.bytes(bytes).json().stringValue ?? "")
    }
    out.add("base64.decode", ["base64_decode_string (string) -> bytes"]) { (args) throws(CELError) in
      .bytes(try decodedBase64(try args[0].string()))
    }
    return out
  }()

  /// With padding or without.
  private static func decodedBase64(_ text: String) throws(CELError) -> [UInt8] {
    var out: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    let digits = text.utf8.reversed().drop { $0 == UInt8(ascii: "=") }.reversed()
    for (i, byte) in digits.enumerated() {
      let value: UInt8
      switch byte {
      case 0x41...0x5A: value = byte - 0x41
      case 0x61...0x7A: value = byte - 0x61 + 26
      case 0x30...0x39: value = byte - 0x30 + 52
      case UInt8(ascii: "+"): value = 62
      case UInt8(ascii: "/"): value = 63
      default: throw CELError("illegal base64 data at input byte \(i)")
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    if digits.count % 4 == 1 { throw CELError("illegal base64 data at input byte \(digits.count - 1)") }
    return out
  }
}
