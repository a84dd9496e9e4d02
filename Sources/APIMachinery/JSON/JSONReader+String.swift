extension JSONReader {
  /// The next value as a string.
  public mutating func string() throws -> String {
    guard try nextByte() == UInt8(ascii: "\"") else { throw try mismatch("string") }
    let (range, escaped) = try stringBody()
    if !escaped { return String(decoding: bytes(in: range), as: UTF8.self) }
    return String(decoding: unescaped(range), as: UTF8.self)
  }

  mutating func rawKey() throws -> JSONKey {
    let (range, escaped) = try stringBody()
    if !escaped { return JSONKey(base: base + range.lowerBound, count: range.count) }
    let bytes = unescaped(range)
    if arena == nil { arena = Arena() }
    return JSONKey(base: arena.unsafelyUnwrapped.keep(bytes), count: bytes.count)
  }

  mutating func skipString() throws { _ = try stringBody() }

  /// Consumes a string; the range lies between its quotes. Escapes are checked, not resolved.
  @inline(__always) private mutating func stringBody() throws -> (Range<Int>, escaped: Bool) {
    position += 1
    let start = position
    var i = position
    // Eight bytes at a time while none of them is a quote, a backslash or a control character.
    while i + 8 <= count {
      let word = UnsafeRawPointer(base + i).loadUnaligned(as: UInt64.self)
      let quote = word ^ 0x2222_2222_2222_2222
      let slash = word ^ 0x5C5C_5C5C_5C5C_5C5C
      let found =
        ((quote &- ones) & ~quote | (slash &- ones) & ~slash | (word &- 0x2020_2020_2020_2020) & ~word) & highs
      if found != 0 {
        i += found.trailingZeroBitCount >> 3
        break
      }
      i += 8
    }
    while i < count {
      let byte = base[i]
      if byte == UInt8(ascii: "\"") {
        position = i + 1
        return (start..<i, false)
      }
      if byte == UInt8(ascii: "\\") || byte < 0x20 { break }
      i += 1
    }
    position = i
    return try escapedBody(from: start)
  }

  private mutating func escapedBody(from start: Int) throws -> (Range<Int>, escaped: Bool) {
    while position < count {
      let byte = base[position]
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return (start..<position - 1, true)
      case UInt8(ascii: "\\"):
        position += 1
        guard position < count else { throw endOfInput() }
        switch base[position] {
        case UInt8(ascii: "u"):
          position += 1
          for _ in 0..<4 {
            guard position < count else { throw endOfInput() }
            guard nibble(base[position]) != nil else { throw unexpected("in \\u hexadecimal character escape") }
            position += 1
          }
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          position += 1
        default: throw unexpected("in string escape code")
        }
      case 0..<0x20: throw unexpected("in string literal")
      default: position += 1
      }
    }
    throw endOfInput()
  }

  /// Resolves the escapes of a range that `escapedBody` checked. Lone surrogates become U+FFFD, as in Go.
  private func unescaped(_ range: Range<Int>) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(range.count)
    var i = range.lowerBound
    while i < range.upperBound {
      let byte = base[i]
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        i += 1
        continue
      }
      let code = base[i + 1]
      i += 2
      switch code {
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "u"):
        let first = unit(at: i)
        i += 4
        var scalar = Unicode.Scalar(first)
        if first & 0xFC00 == 0xD800, i + 6 <= range.upperBound, base[i] == UInt8(ascii: "\\"),
          base[i + 1] == UInt8(ascii: "u")
        {
          let second = unit(at: i + 2)
          if second & 0xFC00 == 0xDC00 {
            scalar = Unicode.Scalar(0x10000 + (UInt32(first & 0x3FF) << 10 | UInt32(second & 0x3FF)))
            i += 6
          }
        }
        out.append(contentsOf: UTF8.encode(scalar ?? "\u{FFFD}").unsafelyUnwrapped)
      default: out.append(code)
      }
    }
    return out
  }

  private func unit(at i: Int) -> UInt16 {
    var value: UInt16 = 0
    for k in 0..<4 { value = value << 4 | UInt16(nibble(base[i + k]) ?? 0) }
    return value
  }

  private func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - 0x30
    case UInt8(ascii: "a")...UInt8(ascii: "f"): return byte - 0x57
    case UInt8(ascii: "A")...UInt8(ascii: "F"): return byte - 0x37
    default: return nil
    }
  }
}

private let ones: UInt64 = 0x0101_0101_0101_0101
private let highs: UInt64 = 0x8080_8080_8080_8080
