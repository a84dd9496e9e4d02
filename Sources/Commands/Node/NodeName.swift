import Glibc

/// The name that a node has unless it is given one.
enum NodeName {
  /// The host's, in lower case.
  static func ofHost() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    gethostname(&bytes, bytes.count - 1)
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).lowercased()
  }
}
