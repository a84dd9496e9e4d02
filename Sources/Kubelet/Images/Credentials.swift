import API
import CRI

/// Reads registry credentials from pull secrets.
enum Credentials {
  /// What to try for an image, in order; a single nil when there is nothing.
  static func matching(_ image: String, _ secrets: [Secret]) -> [CRIAuthConfig?] {
    var out: [CRIAuthConfig] = []
    let registry = ImageNames.registry(image)
    for secret in secrets {
      let bytes: [UInt8]
      if let config = secret.data[".dockerconfigjson"] {
        bytes = config.bytes
      } else if let config = secret.data[".dockercfg"] {
        bytes = config.bytes
      } else {
        continue
      }
      guard let document = try? JSONValue(parsing: bytes) else { continue }
      let entries = document["auths"]?.objectValue ?? document.objectValue ?? [:]
      for (host, entry) in entries.sorted(by: { $0.key > $1.key }) where matches(host, registry, image) {
        var auth = CRIAuthConfig()
        auth.username = entry["username"]?.stringValue ?? ""
        auth.password = entry["password"]?.stringValue ?? ""
        auth.identityToken = entry["identitytoken"]?.stringValue ?? ""
        auth.registryToken = entry["registrytoken"]?.stringValue ?? ""
        if auth.username.isEmpty, let joined = entry["auth"]?.stringValue.flatMap({ Base64Bytes(base64: $0) })?.string,
          let colon = joined.firstIndex(of: ":")
        {
          auth.username = String(joined[..<colon])
          auth.password = String(joined[joined.index(after: colon)...])
        }
        out.append(auth)
      }
    }
    return out.isEmpty ? [nil] : out
  }

  private static func matches(_ entry: String, _ registry: String, _ image: String) -> Bool {
    var host = entry
    for prefix in ["https://", "http://"] where host.hasPrefix(prefix) { host.removeFirst(prefix.count) }
    while host.hasSuffix("/") { host.removeLast() }
    let parts = host.split(separator: "/", maxSplits: 1).map(String.init)
    guard let name = parts.first else { return false }
    let aliases = ["index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"]
    if (aliases[name] ?? name) != registry {
      // `*.example.com` stands for one label.
      guard name.hasPrefix("*."), let dot = registry.firstIndex(of: "."),
        registry[registry.index(after: dot)...] == name.dropFirst(2)
      else { return false }
    }
    guard parts.count == 2, parts[1] != "v1", parts[1] != "v2" else { return true }
    return image.hasPrefix("\(registry)/\(parts[1])")
  }
}
