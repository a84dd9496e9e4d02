public import API

/// The blocks of a PEM text as Go's reader finds them: what does not form a block is passed over.
public struct PEMBlocks {
  /// One block.
  public struct Block: Sendable {
    /// What stands after BEGIN.
    public var type: String
    /// Whether lines like `Name: value` come before the data.
    public var hasHeaders: Bool
    /// The data.
    public var bytes: [UInt8]
  }

  /// All blocks of a text.
  public static func read(_ text: String) -> [Block] {
    var blocks: [Block] = []
    var type: String?
    var lines: [Substring] = []
    for raw in text.split(omittingEmptySubsequences: false, whereSeparator: { $0.isNewline }) {
      var line = raw
      while let last = line.last, last == " " || last == "\t" { line.removeLast() }
      if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----"), line.utf8.count > 16 {
        type = String(line.dropFirst(11).dropLast(5))
        lines = []
      } else if let open = type, line == "-----END \(open)-----" {
        if let block = block(open, lines) { blocks.append(block) }
        type = nil
      } else if type != nil {
        lines.append(line)
      }
    }
    return blocks
  }

  private static func block(_ type: String, _ lines: [Substring]) -> Block? {
    let headers = lines.prefix { $0.contains(":") }
    let data = lines.dropFirst(headers.count).joined(separator: "")
    guard let bytes = Base64Bytes(base64: data)?.bytes else { return nil }
    return Block(type: type, hasHeaders: !headers.isEmpty, bytes: bytes)
  }
}
