import API
import APIMachinery

/// Hashes of pod templates, short enough for names and safe in labels.
enum TemplateHash {
  /// The hash of a template; `collisions` gives another one for the same template.
  static func compute(_ template: PodTemplateSpec, collisions: Int32?) -> String {
    var template = template
    // What the server adds to a stored template must not change its hash.
    template.metadata.creationTimestamp = Time()
    var hash = FNV32a()
    hash.add(template.encoded())
    if let collisions {
      hash.add((0..<4).map { UInt8(truncatingIfNeeded: UInt32(bitPattern: collisions) >> ($0 * 8)) })
    }
    return safe(String(hash.value))
  }

  /// Replaces characters so that no word can appear by chance.
  static func safe(_ text: String) -> String {
    let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
    return String(decoding: text.utf8.map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
  }
}

/// FNV-1a with 32 bits.
struct FNV32a {
  private(set) var value: UInt32 = 2_166_136_261

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt32(byte)) &* 16_777_619 }
  }
}
