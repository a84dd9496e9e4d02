/// A file of sections with keys and values: the shared credentials and config files, and the cloud configuration.
struct INIFile: Sendable {
  struct Section: Sendable {
    /// What stands between the brackets, trimmed.
    var header: String
    /// In the file's order. The names of nested settings are `outer.inner`.
    var settings: [(key: String, value: String)] = []

    /// The last value of a key, compared without regard to case.
    subscript(key: String) -> String? { settings.last { $0.key.lowercased() == key.lowercased() }?.value }
    /// All values of a key.
    func all(_ key: String) -> [String] {
      settings.filter { $0.key.lowercased() == key.lowercased() }.map(\.value)
    }
  }

  private(set) var sections: [Section] = []

  /// Reads a file's text. Throws for a line that is none of section, setting, comment.
  init(_ text: String) throws {
    var outer = ""
    for (index, raw) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let line = Self.trim(raw)
      if line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") { continue }
      if line.hasPrefix("[") {
        guard let end = line.firstIndex(of: "]") else {
          throw AWSConfigurationError("line \(index + 1): ']' expected")
        }
        let header = line[line.index(after: line.startIndex)..<end]
        sections.append(Section(header: Self.trim(header)))
        outer = ""
        continue
      }
      guard !sections.isEmpty else {
        throw AWSConfigurationError("line \(index + 1): a setting before the first section")
      }
      let nested = raw.first.map { $0 == " " || $0 == "\t" } ?? false
      guard let equals = line.firstIndex(of: "=") else {
        sections[sections.count - 1].settings.append((line, "true"))
        continue
      }
      let key = Self.trim(line[..<equals])
      let value = Self.value(line[line.index(after: equals)...])
      if nested, !outer.isEmpty {
        sections[sections.count - 1].settings.append(("\(outer).\(key)", value))
      } else {
        outer = value.isEmpty ? key : ""
        sections[sections.count - 1].settings.append((key, value))
      }
    }
  }

  /// The settings of every section with a header, together.
  func section(_ header: String) -> Section? {
    let matching = sections.filter { $0.header.lowercased() == header.lowercased() }
    guard !matching.isEmpty else { return nil }
    return Section(header: header, settings: matching.flatMap(\.settings))
  }

  /// A value, without quotes and without the comment behind it.
  private static func value(_ text: Substring) -> String {
    let text = trim(text)
    guard text.hasPrefix("\"") else {
      for mark in [" #", " ;", "\t#", "\t;"] {
        if let range = text.firstRange(of: mark) { return trim(text[..<range.lowerBound]) }
      }
      return text
    }
    var out = ""
    var escaped = false
    for character in text.dropFirst() {
      if escaped {
        out.append(character == "n" ? "\n" : character == "t" ? "\t" : character)
        escaped = false
      } else if character == "\\" {
        escaped = true
      } else if character == "\"" {
        break
      } else {
        out.append(character)
      }
    }
    return out
  }

  private static func trim(_ text: some StringProtocol) -> String {
    var slice = text[...]
    while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
    while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
    return String(slice)
  }
}
