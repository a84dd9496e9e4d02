/// Names of images, completed as Docker and containerd do.
public enum ImageReference {
  static let nameAnnotation = "io.containerd.image.name"
  static let tagAnnotation = "org.opencontainers.image.ref.name"

  /// `nginx` → `docker.io/library/nginx:latest`, `a/b:1` → `docker.io/a/b:1`; names with a registry keep it.
  public static func normalize(_ name: String) -> String {
    var rest = Substring(name)
    var registry = "docker.io"
    if let slash = rest.firstIndex(of: "/") {
      let first = rest[..<slash]
      if first.contains(".") || first.contains(":") || first == "localhost" {
        registry = first == "index.docker.io" ? "docker.io" : String(first)
        rest = rest[rest.index(after: slash)...]
      }
    }
    if registry == "docker.io" && !rest.contains("/") { rest = "library/" + rest }
    if !rest.contains("@") && tagStart(rest) == nil { rest += ":latest" }
    return "\(registry)/\(rest)"
  }

  /// The tag of a complete name; "latest" when it has none.
  static func tag(of name: String) -> String {
    let untilDigest = name.prefix { $0 != "@" }
    guard let start = tagStart(untilDigest) else { return "latest" }
    return String(untilDigest[start...])
  }

  /// The name without tag and digest.
  static func repository(of name: String) -> String {
    let untilDigest = name.prefix { $0 != "@" }
    guard let start = tagStart(untilDigest) else { return String(untilDigest) }
    return String(untilDigest[..<untilDigest.index(before: start)])
  }

  private static func tagStart(_ name: Substring) -> Substring.Index? {
    guard let colon = name.lastIndex(of: ":") else { return nil }
    if let slash = name.lastIndex(of: "/"), slash > colon { return nil }
    return name.index(after: colon)
  }
}
