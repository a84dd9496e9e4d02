/// NaCl's secretbox: XSalsa20 for secrecy, Poly1305 for authenticity. The library for cryptography has neither, and
/// upstream recommends this provider.
enum SecretBox {
  /// Tag and ciphertext. `key` has 32 bytes, `nonce` 24.
  static func seal(_ message: [UInt8], key: [UInt8], nonce: [UInt8]) -> [UInt8] {
    let (authenticator, stream) = keys(key, nonce, count: message.count)
    let sealed = zip(message, stream).map { $0 ^ $1 }
    return Poly1305.tag(sealed, key: authenticator) + sealed
  }

  /// The message; nil if the box was not sealed with this key, or was touched.
  static func open(_ box: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8]) -> [UInt8]? {
    guard box.count >= 16 else { return nil }
    let sealed = Array(box.dropFirst(16))
    let (authenticator, stream) = keys(key, nonce, count: sealed.count)
    let tag = Poly1305.tag(sealed, key: authenticator)
    var difference: UInt8 = 0
    for (a, b) in zip(tag, box.prefix(16)) { difference |= a ^ b }
    guard difference == 0 else { return nil }
    return zip(sealed, stream).map { $0 ^ $1 }
  }

  /// The authenticator's key and the stream for the message: the first 32 bytes of the stream are the former.
  private static func keys(_ key: [UInt8], _ nonce: [UInt8], count: Int) -> (key: [UInt8], stream: ArraySlice<UInt8>) {
    let inner = Salsa20.subkey(key, Array(nonce[0..<16]))
    var stream: [UInt8] = []
    stream.reserveCapacity(count + 96)
    var block: UInt64 = 0
    while stream.count < count + 32 {
      stream += Salsa20.block(inner, Array(nonce[16..<24]), block)
      block += 1
    }
    return (Array(stream[0..<32]), stream[32..<(32 + count)])
  }
}

private enum Salsa20 {
  private static let constants: [UInt32] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]

  private static func words(_ bytes: [UInt8]) -> [UInt32] {
    stride(from: 0, to: bytes.count, by: 4).map { at in
      UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }
  }

  private static func bytes(_ words: some Sequence<UInt32>) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32($0 * 8)) } }
  }

  private static func state(_ key: [UInt8], _ input: [UInt8]) -> [UInt32] {
    let (k, n) = (words(key), words(input))
    return [constants[0]] + k[0..<4] + [constants[1]] + n + [constants[2]] + k[4..<8] + [constants[3]]
  }

  private static func rounds(_ start: [UInt32]) -> [UInt32] {
    var x = start
    func turn(_ a: UInt32, _ by: UInt32) -> UInt32 { a << by | a >> (32 - by) }
    func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
      x[b] ^= turn(x[a] &+ x[d], 7)
      x[c] ^= turn(x[b] &+ x[a], 9)
      x[d] ^= turn(x[c] &+ x[b], 13)
      x[a] ^= turn(x[d] &+ x[c], 18)
    }
    for _ in 0..<10 {
      quarter(0, 4, 8, 12)
      quarter(5, 9, 13, 1)
      quarter(10, 14, 2, 6)
      quarter(15, 3, 7, 11)
      quarter(0, 1, 2, 3)
      quarter(5, 6, 7, 4)
      quarter(10, 11, 8, 9)
      quarter(15, 12, 13, 14)
    }
    return x
  }

  /// HSalsa20: a key of its own for each first part of a nonce.
  static func subkey(_ key: [UInt8], _ nonce: [UInt8]) -> [UInt8] {
    let x = rounds(state(key, nonce))
    return bytes([0, 5, 10, 15, 6, 7, 8, 9].map { x[$0] })
  }

  static func block(_ key: [UInt8], _ nonce: [UInt8], _ counter: UInt64) -> [UInt8] {
    let number = (0..<8).map { UInt8(truncatingIfNeeded: counter >> UInt64($0 * 8)) }
    let start = state(key, nonce + number)
    return bytes(zip(rounds(start), start).map { $0 &+ $1 })
  }
}

private enum Poly1305 {
  /// In limbs of 26 bits, whose products fit into 64.
  static func tag(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    func word(_ bytes: some Collection<UInt8>) -> UInt64 {
      bytes.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64($1.offset * 8) }
    }
    func limbs(_ block: [UInt8], _ top: UInt64) -> [UInt64] {
      let (low, high) = (word(block[0..<8]), word(block[8..<16]))
      let mask: UInt64 = 0x3ff_ffff
      return [
        low & mask, low >> 26 & mask, (low >> 52 | high << 12) & mask, high >> 14 & mask, high >> 40 | top << 24,
      ]
    }
    var clamped = Array(key[0..<16])
    for at in [3, 7, 11, 15] { clamped[at] &= 15 }
    for at in [4, 8, 12] { clamped[at] &= 252 }
    let r = limbs(clamped, 0)
    var h: [UInt64] = [0, 0, 0, 0, 0]
    var at = 0
    while at < message.count {
      var block = Array(message[at..<min(at + 16, message.count)])
      let isWhole = block.count == 16
      if !isWhole { block += [1] + [UInt8](repeating: 0, count: 15 - block.count) }
      let add = limbs(block, isWhole ? 1 : 0)
      for index in 0..<5 { h[index] += add[index] }
      var product: [UInt64] = [0, 0, 0, 0, 0]
      for i in 0..<5 {
        for j in 0..<5 {
          // 2^130 is 5 here.
          product[(i + j) % 5] += h[i] * (i + j >= 5 ? 5 * r[j] : r[j])
        }
      }
      var carry: UInt64 = 0
      for index in 0..<5 {
        product[index] += carry
        carry = product[index] >> 26
        h[index] = product[index] & 0x3ff_ffff
      }
      h[0] += carry * 5
      h[1] += h[0] >> 26
      h[0] &= 0x3ff_ffff
      at += 16
    }
    for _ in 0..<2 {
      var carry: UInt64 = 0
      for index in 0..<5 {
        h[index] += carry
        carry = h[index] >> 26
        h[index] &= 0x3ff_ffff
      }
      h[0] += carry * 5
    }
    // Less the prime, if that is not negative: without a branch on what is secret.
    var g: [UInt64] = [0, 0, 0, 0, 0]
    var carry: UInt64 = 5
    for index in 0..<5 {
      g[index] = h[index] + carry
      carry = g[index] >> 26
      g[index] &= 0x3ff_ffff
    }
    let mask = 0 &- carry
    for index in 0..<5 { h[index] = h[index] & ~mask | g[index] & mask }
    let low = h[0] | h[1] << 26 | h[2] << 52
    let high = h[2] >> 12 | h[3] << 14 | h[4] << 40
    let (sum, overflow) = low.addingReportingOverflow(word(key[16..<24]))
    let rest = high &+ word(key[24..<32]) &+ (overflow ? 1 : 0)
    return [sum, rest].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } }
  }
}
