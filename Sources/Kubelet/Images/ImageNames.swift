/// Reads what an image reference says. Pure.
enum ImageNames {
  /// The reference with `:latest` where it names neither tag nor digest; nil when it is none.
  static func withDefaultTag(_ image: String) -> String? {
    guard isValid(image) else { return nil }
    if image.contains("@") { return image }
    return tag(image) == nil ? image + ":latest" : image
  }

  /// The tag, if any.
  static func tag(_ image: String) -> String? {
    let name = image.prefix { $0 != "@" }
    guard let colon = name.lastIndex(of: ":") else { return nil }
    let rest = name[name.index(after: colon)...]
    return rest.contains("/") ? nil : String(rest)
  }

  /// The policy that holds when none is given.
  static func defaultPolicy(_ image: String) -> String {
    if image.contains("@") { return "IfNotPresent" }
    let tag = tag(image) ?? "latest"
    return tag == "latest" ? "Always" : "IfNotPresent"
  }

  private static func isValid(_ image: String) -> Bool {
    guard !image.isEmpty, image.utf8.count <= 512 else { return false }
    let parts = image.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count <= 2 else { return false }
    if parts.count == 2, !parts[1].contains(":") { return false }
    var path = String(parts[0])
    if let tag = tag(path) {
      guard !tag.isEmpty, tag.utf8.count <= 128, tag.utf8.allSatisfy(isTagByte) else { return false }
      path = String(path.dropLast(tag.count + 1))
    }
    var components = path.split(separator: "/", omittingEmptySubsequences: false)
    // The first part may be a host with a port, which may have capitals.
    if components.count > 1, let first = components.first,
      first.contains(".") || first.contains(":") || first == "localhost"
    {
      components.removeFirst()
    }
    return components.allSatisfy { part in
      !part.isEmpty && part.utf8.allSatisfy(isPathByte) && part.first.map { $0.isLetter || $0.isNumber } == true
    }
  }

  private static func isPathByte(_ byte: UInt8) -> Bool {
    (97...122).contains(byte) || (48...57).contains(byte) || byte == 45 || byte == 46 || byte == 95
  }

  private static func isTagByte(_ byte: UInt8) -> Bool { isPathByte(byte) || (65...90).contains(byte) }

  /// The registry a reference points to.
  static func registry(_ image: String) -> String {
    let parts = image.split(separator: "/")
    guard parts.count > 1, let first = parts.first,
      first.contains(".") || first.contains(":") || first == "localhost"
    else { return "docker.io" }
    return String(first)
  }
}
