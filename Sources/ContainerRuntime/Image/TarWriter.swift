/// Writes tar files (ustar, with pax records for long names), always the same bytes for the same input.
struct TarWriter {
  private(set) var bytes: [UInt8] = []

  enum Kind: UInt8 {
    case file = 0x30
    case hardLink = 0x31
    case symbolicLink = 0x32
    case directory = 0x35
    case pax = 0x78
  }

  mutating func add(
    _ kind: Kind, _ path: String, mode: Int, content: [UInt8] = [], target: String = "", owner: Int = 0
  ) {
    var records = ""
    if path.utf8.count > 100 { records += TarWriter.record("path", path) }
    if target.utf8.count > 100 { records += TarWriter.record("linkpath", target) }
    if !records.isEmpty { header(.pax, "pax", mode: 0o644, content: Array(records.utf8), target: "", owner: 0) }
    header(kind, path, mode: mode, content: content, target: target, owner: owner)
  }

  /// The finished archive.
  consuming func finish() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

  private mutating func header(
    _ kind: Kind, _ path: String, mode: Int, content: [UInt8], target: String, owner: Int
  ) {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: some Sequence<UInt8>, at offset: Int, limit: Int) {
      for (index, byte) in text.prefix(limit).enumerated() { block[offset + index] = byte }
    }
    func octal(_ value: Int, at offset: Int, digits: Int) {
      let text = String(value, radix: 8)
      put((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8, at: offset, limit: digits)
    }
    put(path.utf8, at: 0, limit: 100)
    octal(mode, at: 100, digits: 7)
    octal(owner, at: 108, digits: 7)
    octal(owner, at: 116, digits: 7)
    octal(content.count, at: 124, digits: 11)
    octal(0, at: 136, digits: 11)
    block[156] = kind.rawValue
    put(target.utf8, at: 157, limit: 100)
    put("ustar\u{0}00".utf8, at: 257, limit: 8)
    for index in 148..<156 { block[index] = 0x20 }
    octal(block.reduce(0) { $0 + Int($1) }, at: 148, digits: 6)
    block[154] = 0
    bytes += block
    bytes += content
    bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
  }

  /// "LENGTH key=value\n", where LENGTH counts itself.
  private static func record(_ key: String, _ value: String) -> String {
    let rest = " \(key)=\(value)\n"
    var length = rest.utf8.count + 1
    while "\(length)".utf8.count + rest.utf8.count != length { length = "\(length)".utf8.count + rest.utf8.count }
    return "\(length)\(rest)"
  }
}
