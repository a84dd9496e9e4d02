/// A set of code points.
struct RegexSet: Sendable {
  let ranges: [ClosedRange<UInt32>]
  let categories: [(RegexCategory, Bool)]
  private let negated: Bool
  private let ignoresCase: Bool
  /// Membership of the first 128, which nearly all texts are made of.
  private let ascii: (UInt64, UInt64)

  init(
    _ ranges: [ClosedRange<UInt32>], categories: [(RegexCategory, Bool)] = [], negated: Bool = false,
    ignoresCase: Bool = false
  ) {
    self.ranges = ranges
    self.categories = categories
    self.negated = negated
    self.ignoresCase = ignoresCase
    var bits: (UInt64, UInt64) = (0, 0)
    for code in UInt32(0)..<128 {
      guard let scalar = Unicode.Scalar(code),
        Self.find(scalar, ranges, categories, ignoresCase) != negated
      else { continue }
      if code < 64 { bits.0 |= 1 << UInt64(code) } else { bits.1 |= 1 << UInt64(code - 64) }
    }
    ascii = bits
  }

  func contains(_ c: Unicode.Scalar) -> Bool {
    if c.value < 64 { return ascii.0 >> UInt64(c.value) & 1 == 1 }
    if c.value < 128 { return ascii.1 >> UInt64(c.value - 64) & 1 == 1 }
    return Self.find(c, ranges, categories, ignoresCase) != negated
  }

  private static func find(
    _ c: Unicode.Scalar, _ ranges: [ClosedRange<UInt32>], _ categories: [(RegexCategory, Bool)], _ ignoresCase: Bool
  ) -> Bool {
    func has(_ c: Unicode.Scalar) -> Bool {
      ranges.contains { $0.contains(c.value) } || categories.contains { $0.0.contains(c) != $0.1 }
    }
    if has(c) { return true }
    guard ignoresCase else { return false }
    for mapped in [c.properties.lowercaseMapping, c.properties.uppercaseMapping] {
      let scalars = mapped.unicodeScalars
      if scalars.count == 1, let other = scalars.first, other != c, has(other) { return true }
    }
    // The two letters whose folds leave their neighbours: long s and the Kelvin sign.
    switch c {
    case "s", "S": return has("\u{17F}")
    case "k", "K": return has("\u{212A}")
    default: return false
    }
  }

  private static func complement(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var out: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if range.lowerBound > next { out.append(next...range.lowerBound - 1) }
      next = max(next, range.upperBound + 1)
    }
    if next <= 0x10FFFF { out.append(next...0x10FFFF) }
    return out
  }

  static func perl(_ c: Unicode.Scalar) -> [ClosedRange<UInt32>]? {
    let digit: [ClosedRange<UInt32>] = [0x30...0x39]
    let space: [ClosedRange<UInt32>] = [9...10, 12...13, 32...32]
    let word: [ClosedRange<UInt32>] = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
    switch c {
    case "d": return digit
    case "D": return complement(digit)
    case "s": return space
    case "S": return complement(space)
    case "w": return word
    case "W": return complement(word)
    default: return nil
    }
  }

  /// `[:alpha:]`, `[:^alpha:]`.
  static func posix(_ name: String) -> [ClosedRange<UInt32>]? {
    var inner = name.dropFirst(2).dropLast(2)
    let negated = inner.hasPrefix("^")
    if negated { inner = inner.dropFirst() }
    let set: [ClosedRange<UInt32>]
    switch inner {
    case "alnum": set = [0x30...0x39, 0x41...0x5A, 0x61...0x7A]
    case "alpha": set = [0x41...0x5A, 0x61...0x7A]
    case "ascii": set = [0...0x7F]
    case "blank": set = [9...9, 32...32]
    case "cntrl": set = [0...0x1F, 0x7F...0x7F]
    case "digit": set = [0x30...0x39]
    case "graph": set = [0x21...0x7E]
    case "lower": set = [0x61...0x7A]
    case "print": set = [0x20...0x7E]
    case "punct": set = [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E]
    case "space": set = [9...13, 32...32]
    case "upper": set = [0x41...0x5A]
    case "word": set = [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A]
    case "xdigit": set = [0x30...0x39, 0x41...0x46, 0x61...0x66]
    default: return nil
    }
    return negated ? complement(set) : set
  }
}

/// A general category of Unicode, or one of the scripts that patterns name most.
enum RegexCategory: Sendable {
  case any
  case general(Set<Unicode.GeneralCategory>)
  case script([ClosedRange<UInt32>])

  init?(_ name: String) {
    let letters: Set<Unicode.GeneralCategory> = [
      .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
    ]
    switch name {
    case "Any": self = .any
    case "L": self = .general(letters)
    case "Lu": self = .general([.uppercaseLetter])
    case "Ll": self = .general([.lowercaseLetter])
    case "Lt": self = .general([.titlecaseLetter])
    case "Lm": self = .general([.modifierLetter])
    case "Lo": self = .general([.otherLetter])
    case "M": self = .general([.nonspacingMark, .spacingMark, .enclosingMark])
    case "Mn": self = .general([.nonspacingMark])
    case "Mc": self = .general([.spacingMark])
    case "Me": self = .general([.enclosingMark])
    case "N": self = .general([.decimalNumber, .letterNumber, .otherNumber])
    case "Nd": self = .general([.decimalNumber])
    case "Nl": self = .general([.letterNumber])
    case "No": self = .general([.otherNumber])
    case "P":
      self = .general([
        .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
        .finalPunctuation, .otherPunctuation,
      ])
    case "Pc": self = .general([.connectorPunctuation])
    case "Pd": self = .general([.dashPunctuation])
    case "Ps": self = .general([.openPunctuation])
    case "Pe": self = .general([.closePunctuation])
    case "Pi": self = .general([.initialPunctuation])
    case "Pf": self = .general([.finalPunctuation])
    case "Po": self = .general([.otherPunctuation])
    case "S": self = .general([.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol])
    case "Sm": self = .general([.mathSymbol])
    case "Sc": self = .general([.currencySymbol])
    case "Sk": self = .general([.modifierSymbol])
    case "So": self = .general([.otherSymbol])
    case "Z": self = .general([.spaceSeparator, .lineSeparator, .paragraphSeparator])
    case "Zs": self = .general([.spaceSeparator])
    case "Zl": self = .general([.lineSeparator])
    case "Zp": self = .general([.paragraphSeparator])
    case "C": self = .general([.control, .format, .surrogate, .privateUse])
    case "Cc": self = .general([.control])
    case "Cf": self = .general([.format])
    case "Co": self = .general([.privateUse])
    case "Cs": self = .general([.surrogate])
    case "Greek":
      self = .script([
        0x370...0x373, 0x375...0x377, 0x37A...0x37D, 0x37F...0x37F, 0x384...0x384, 0x386...0x386, 0x388...0x3E1,
        0x3F0...0x3FF, 0x1F00...0x1FFE, 0x2126...0x2126,
      ])
    case "Cyrillic":
      self = .script([0x400...0x484, 0x487...0x52F, 0x1C80...0x1C88, 0x1D2B...0x1D2B, 0x2DE0...0x2DFF, 0xA640...0xA69F])
    case "Latin":
      self = .script([
        0x41...0x5A, 0x61...0x7A, 0xAA...0xAA, 0xBA...0xBA, 0xC0...0xD6, 0xD8...0xF6, 0xF8...0x2B8, 0x1E00...0x1EFF,
        0x212A...0x212B, 0x2C60...0x2C7F, 0xA722...0xA787, 0xFF21...0xFF3A, 0xFF41...0xFF5A,
      ])
    case "Han":
      self = .script([
        0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007, 0x3021...0x3029,
        0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAD9, 0x20000...0x323AF,
      ])
    case "Hiragana": self = .script([0x3041...0x3096, 0x309D...0x309F])
    case "Katakana": self = .script([0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0xFF66...0xFF9D])
    case "Hebrew": self = .script([0x591...0x5F4, 0xFB1D...0xFB4F])
    case "Arabic": self = .script([0x600...0x604, 0x606...0x6FF, 0x750...0x77F, 0xFB50...0xFDFF, 0xFE70...0xFEFC])
    default: return nil
    }
  }

  func contains(_ c: Unicode.Scalar) -> Bool {
    switch self {
    case .any: true
    case .general(let set): set.contains(c.properties.generalCategory)
    case .script(let ranges): ranges.contains { $0.contains(c.value) }
    }
  }
}
