/// A version as semver.org 2.0.0 has it.
struct SemanticVersion: Comparable {
  private var numbers: [UInt64]
  private var prerelease: [Substring]

  init?(_ text: String) {
    let plus = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
    let dash = plus[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let core = dash[0].split(separator: ".", omittingEmptySubsequences: false)
    guard core.count == 3, core.allSatisfy(Self.isNumber) else { return nil }
    numbers = core.compactMap { UInt64($0) }
    guard numbers.count == 3 else { return nil }
    prerelease = dash.count > 1 ? dash[1].split(separator: ".", omittingEmptySubsequences: false) : []
    let build = plus.count > 1 ? plus[1].split(separator: ".", omittingEmptySubsequences: false) : []
    for part in prerelease + build where part.isEmpty || !part.utf8.allSatisfy(Self.isIdentifierByte) { return nil }
    for part in prerelease where part.utf8.allSatisfy(Self.isDigit) && !Self.isNumber(part) { return nil }
  }

  private static func isDigit(_ b: UInt8) -> Bool { b >= 0x30 && b <= 0x39 }

  private static func isIdentifierByte(_ b: UInt8) -> Bool {
    isDigit(b) || (b >= 0x41 && b <= 0x5A) || (b >= 0x61 && b <= 0x7A) || b == UInt8(ascii: "-")
  }

  private static func isNumber(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy(isDigit) && (text == "0" || text.utf8.first != UInt8(ascii: "0"))
  }

  static func < (a: SemanticVersion, b: SemanticVersion) -> Bool {
    if a.numbers != b.numbers { return a.numbers.lexicographicallyPrecedes(b.numbers) }
    if a.prerelease.isEmpty || b.prerelease.isEmpty { return !a.prerelease.isEmpty && b.prerelease.isEmpty }
    for (x, y) in zip(a.prerelease, b.prerelease) where x != y {
      switch (UInt64(x), UInt64(y)) {
      case (let m?, let n?): return m < n
      case (.some, nil): return true
      case (nil, .some): return false
      case (nil, nil): return x.utf8.lexicographicallyPrecedes(y.utf8)
      }
    }
    return a.prerelease.count < b.prerelease.count
  }
}
