/// An element of an XML document. Names lose their namespace prefix.
struct XMLElement: Sendable, Equatable {
  var name: String
  var attributes: [String: String] = [:]
  var children: [XMLElement] = []
  /// The element's own character data, all of it joined.
  var text = ""

  /// The first child with a name.
  func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }

  /// The element at the end of a path of names.
  func find(_ path: String...) -> XMLElement? {
    var here = self
    for name in path {
      guard let next = here.child(name) else { return nil }
      here = next
    }
    return here
  }

  /// The text of a child; empty when there is none.
  func string(_ name: String) -> String { child(name)?.text ?? "" }
  /// The number in a child.
  func int(_ name: String) -> Int? { child(name).flatMap { Int($0.text) } }
  /// Whether a child says `true`.
  func bool(_ name: String) -> Bool { string(name) == "true" }
  /// The elements of a list: EC2 wraps each in `item`, other services in `member`.
  func list(_ name: String) -> [XMLElement] {
    child(name)?.children.filter { $0.name == "item" || $0.name == "member" } ?? []
  }
}

/// Why a document is no XML.
struct XMLError: Error, CustomStringConvertible, Equatable {
  var offset: Int
  var reason: String
  var description: String { "xml: \(reason) at byte \(offset)" }
}

/// Reads an XML document into a tree: elements, attributes, character and CDATA sections, the predefined and numeric
/// entities. Comments, processing instructions and a document type without declarations are skipped; declarations of
/// entities are refused, since what a web service sends needs none and their expansion has no bound.
struct XMLReader {
  private let bytes: [UInt8]
  private var at = 0
  private static let depthLimit = 128

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Reads a whole document and returns its root.
  static func parse(_ bytes: [UInt8]) throws(XMLError) -> XMLElement {
    var reader = XMLReader(bytes)
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.at = 3 }
    try reader.skipMisc()
    guard reader.peek == UInt8(ascii: "<") else { throw reader.error("no root element") }
    let root = try reader.element(depth: 0)
    try reader.skipMisc()
    guard reader.at == bytes.count else { throw reader.error("text after the root element") }
    return root
  }

  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  private func error(_ reason: String) -> XMLError { XMLError(offset: at, reason: reason) }

  private func starts(_ text: StaticString) -> Bool {
    let count = text.utf8CodeUnitCount
    guard at + count <= bytes.count else { return false }
    for i in 0..<count where bytes[at + i] != text.utf8Start[i] { return false }
    return true
  }

  private mutating func skipSpace() {
    while let byte = peek, Self.isSpace(byte) { at += 1 }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

  /// Moves past the next occurrence of a text.
  private mutating func skip(past text: StaticString, _ what: String) throws(XMLError) {
    let start = at
    while at < bytes.count {
      if starts(text) {
        at += text.utf8CodeUnitCount
        return
      }
      at += 1
    }
    at = start
    throw error("unended \(what)")
  }

  private mutating func skipMisc() throws(XMLError) {
    while true {
      skipSpace()
      if starts("<?") {
        try skip(past: "?>", "processing instruction")
      } else if starts("<!--") {
        try skip(past: "-->", "comment")
      } else if starts("<!DOCTYPE") {
        while let byte = peek, byte != UInt8(ascii: ">") {
          if byte == UInt8(ascii: "[") { throw error("document type with declarations") }
          at += 1
        }
        guard peek != nil else { throw error("unended document type") }
        at += 1
      } else {
        return
      }
    }
  }

  private mutating func name() throws(XMLError) -> String {
    var start = at
    while let byte = peek, !Self.isSpace(byte), !">/=<\"'&".utf8.contains(byte) {
      at += 1
      if byte == UInt8(ascii: ":") { start = at }
    }
    guard at > start else { throw error("name expected") }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private mutating func element(depth: Int) throws(XMLError) -> XMLElement {
    guard depth < Self.depthLimit else { throw error("too many levels") }
    at += 1
    var element = XMLElement(name: try name())
    while true {
      skipSpace()
      guard let byte = peek else { throw error("unended tag") }
      if byte == UInt8(ascii: "/") {
        guard starts("/>") else { throw error("'/>' expected") }
        at += 2
        return element
      }
      if byte == UInt8(ascii: ">") {
        at += 1
        break
      }
      let start = at
      let key = try name()
      skipSpace()
      guard peek == UInt8(ascii: "=") else { throw error("'=' expected") }
      at += 1
      skipSpace()
      guard let quote = peek, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
        throw error("quoted value expected")
      }
      at += 1
      let value = try characters(until: quote, attribute: true)
      guard peek == quote else { throw error("unended value") }
      at += 1
      let prefixed = bytes[start..<min(start + 5, bytes.count)].elementsEqual("xmlns".utf8)
      if !prefixed, element.attributes.updateValue(value, forKey: key) != nil { throw error("attribute twice") }
    }
    while true {
      element.text += try characters(until: UInt8(ascii: "<"), attribute: false)
      guard peek != nil else { throw error("element \(element.name) does not end") }
      if starts("</") {
        at += 2
        let closing = try name()
        guard closing == element.name else { throw error("</\(closing)> ends <\(element.name)>") }
        skipSpace()
        guard peek == UInt8(ascii: ">") else { throw error("'>' expected") }
        at += 1
        return element
      } else if starts("<![CDATA[") {
        at += 9
        let start = at
        try skip(past: "]]>", "CDATA section")
        element.text += Self.lines(bytes[start..<(at - 3)])
      } else if starts("<!--") {
        try skip(past: "-->", "comment")
      } else if starts("<?") {
        try skip(past: "?>", "processing instruction")
      } else if starts("<!") {
        throw error("declaration within an element")
      } else {
        element.children.append(try self.element(depth: depth + 1))
      }
    }
  }

  /// Line ends become one newline, as the standard says.
  private static func lines(_ slice: ArraySlice<UInt8>) -> String {
    guard slice.contains(13) else { return String(decoding: slice, as: UTF8.self) }
    var out: [UInt8] = []
    out.reserveCapacity(slice.count)
    var previous: UInt8 = 0
    for byte in slice {
      if byte == 13 {
        out.append(10)
      } else if !(byte == 10 && previous == 13) {
        out.append(byte)
      }
      previous = byte
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Character data up to (not with) a byte, entities resolved.
  private mutating func characters(until end: UInt8, attribute: Bool) throws(XMLError) -> String {
    var out = ""
    var start = at
    while let byte = peek, byte != end {
      if byte == UInt8(ascii: "&") {
        out += Self.lines(bytes[start..<at])
        out.unicodeScalars.append(try entity())
        start = at
      } else if attribute, byte == UInt8(ascii: "<") {
        throw error("'<' in an attribute")
      } else {
        at += 1
      }
    }
    return out + Self.lines(bytes[start..<at])
  }

  private mutating func entity() throws(XMLError) -> Unicode.Scalar {
    let start = at + 1
    var end = start
    while end < bytes.count, end - start < 12, bytes[end] != UInt8(ascii: ";") { end += 1 }
    guard end < bytes.count, bytes[end] == UInt8(ascii: ";") else { throw error("unended entity") }
    let name = String(decoding: bytes[start..<end], as: UTF8.self)
    let scalar: Unicode.Scalar? =
      switch name {
      case "amp": "&"
      case "lt": "<"
      case "gt": ">"
      case "quot": "\""
      case "apos": "'"
      default:
        if name.hasPrefix("#x") {
          UInt32(name.dropFirst(2), radix: 16).flatMap(Unicode.Scalar.init)
        } else if name.hasPrefix("#") {
          UInt32(name.dropFirst()).flatMap(Unicode.Scalar.init)
        } else {
          nil
        }
      }
    guard let scalar, scalar.value != 0 else { throw error("unknown entity &\(name);") }
    at = end + 1
    return scalar
  }
}
