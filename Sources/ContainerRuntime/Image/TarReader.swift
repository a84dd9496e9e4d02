import Glibc
import Linux

/// The table of contents of a tar file: where each file's bytes lie. The content stays on disk.
final class TarReader: Sendable {
  struct Entry: Sendable {
    var offset: Int
    var size: Int
  }

  private let descriptor: Int32
  let entries: [String: Entry]

  /// Reads the headers. Hard and symbolic links (docker archives have them between equal layers) are resolved.
  init(path: String) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw SystemError("open \(path)") }
    do {
      entries = try TarReader.scan(descriptor)
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// A part of an entry's bytes.
  func read(_ entry: Entry, at position: Int, count: Int) throws -> [UInt8] {
    try TarReader.read(descriptor, at: entry.offset + position, count: min(count, entry.size - position))
  }

  /// All bytes of a small entry.
  func content(_ name: String) throws -> [UInt8]? {
    guard let entry = entries[name] else { return nil }
    guard entry.size <= 16 << 20 else { throw ImageError("\(name) in the archive is too large to be a manifest") }
    return try read(entry, at: 0, count: entry.size)
  }

  private static func scan(_ descriptor: Int32) throws -> [String: Entry] {
    var entries: [String: Entry] = [:]
    var links: [(name: String, target: String)] = []
    var position = 0
    var longName: String?
    var longTarget: String?
    var paxSize: Int?
    while true {
      let header = try read(descriptor, at: position, count: 512, exact: false)
      guard header.count == 512, header.contains(where: { $0 != 0 }) else { break }
      guard isChecksumRight(header) else { throw ImageError("not a tar archive") }
      let size = paxSize ?? number(header[124..<136])
      let data = position + 512
      var name = longName ?? text(header[0..<100])
      if longName == nil, text(header[257..<262]) == "ustar" {
        let prefix = text(header[345..<500])
        if !prefix.isEmpty && header[263] == 0x30 { name = prefix + "/" + name }
      }
      let target = longTarget ?? text(header[157..<257])
      switch header[156] {
      case 0x4c: longName = text(try read(descriptor, at: data, count: size)[...])
      case 0x4b: longTarget = text(try read(descriptor, at: data, count: size)[...])
      case 0x78:
        let records = pax(try read(descriptor, at: data, count: size))
        longName = records["path"] ?? longName
        longTarget = records["linkpath"] ?? longTarget
        paxSize = records["size"].flatMap { Int($0) }
        position = data + (number(header[124..<136]) + 511) / 512 * 512
        continue
      case 0x67: break
      default:
        switch header[156] {
        case 0x30, 0: entries[clean(name)] = Entry(offset: data, size: size)
        case 0x31: links.append((clean(name), clean(target)))
        case 0x32: links.append((clean(name), resolve(clean(name), target)))
        default: break
        }
        longName = nil
        longTarget = nil
        paxSize = nil
      }
      position = data + (size + 511) / 512 * 512
    }
    // Links may point at links that come later.
    var open = links.filter { entries[$0.name] == nil }
    while true {
      let known = open.filter { entries[$0.target] != nil }
      if known.isEmpty { return entries }
      for link in known { entries[link.name] = entries[link.target] }
      open.removeAll { entries[$0.name] != nil }
    }
  }

  private static func read(_ descriptor: Int32, at offset: Int, count: Int, exact: Bool = true) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(0, count))
    var done = 0
    while done < bytes.count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + done, $0.count - done, offset + done)
      }
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw SystemError("read archive") }
      if got == 0 { break }
      done += got
    }
    if exact && done < bytes.count { throw ImageError("the archive ends early") }
    return Array(bytes[..<done])
  }

  private static func isChecksumRight(_ header: [UInt8]) -> Bool {
    let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 0x20 : Int($1.element)) }
    return sum == number(header[148..<156])
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func number(_ field: ArraySlice<UInt8>) -> Int {
    if let first = field.first, first & 0x80 != 0 {
      // Base 256, for sizes from 8 GiB.
      return field.dropFirst().reduce(Int(first & 0x3f)) { $0 &* 256 &+ Int($1) }
    }
    return field.reduce(0) { (0x30...0x37).contains($1) ? $0 &* 8 &+ Int($1 - 0x30) : $0 }
  }

  private static func pax(_ bytes: [UInt8]) -> [String: String] {
    var records: [String: String] = [:]
    var rest = bytes[...]
    while let space = rest.firstIndex(of: 0x20),
      let length = Int(String(decoding: rest[rest.startIndex..<space], as: UTF8.self)),
      length > 0, length <= rest.count
    {
      let record = rest[(space + 1)..<(rest.startIndex + length)]
      if let equals = record.firstIndex(of: 0x3d) {
        let value = record[(equals + 1)...].dropLast()
        records[String(decoding: record[..<equals], as: UTF8.self)] = String(decoding: value, as: UTF8.self)
      }
      rest = rest[(rest.startIndex + length)...]
    }
    return records
  }

  private static func clean(_ name: String) -> String {
    var parts: [Substring] = []
    for part in name.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return parts.joined(separator: "/")
  }

  private static func resolve(_ name: String, _ target: String) -> String {
    if target.hasPrefix("/") { return clean(target) }
    let directory = name.split(separator: "/").dropLast().joined(separator: "/")
    return clean(directory + "/" + target)
  }
}

/// What is wrong with an image or its archive.
public struct ImageError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
