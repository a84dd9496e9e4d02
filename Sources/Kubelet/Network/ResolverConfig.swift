import API
import CRI

/// What a resolver file says.
struct ResolverConfig: Sendable, Equatable {
  var servers: [String] = []
  var searches: [String] = []
  var options: [String] = []

  init() {}

  /// Reads `/etc/resolv.conf`.
  init(parsing text: String) {
    for line in text.split(whereSeparator: \.isNewline) {
      if line.first == "#" || line.first == ";" { continue }
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
      switch words.first {
      case "nameserver": if words.count > 1 { servers.append(words[1]) }
      // The last search line wins.
      case "search", "domain": searches = words.dropFirst().map { $0 == "." ? $0 : Self.trimDot($0) }
      case "options": options += words.dropFirst()
      default: break
      }
    }
  }

  private static func trimDot(_ name: String) -> String { name.hasSuffix(".") ? String(name.dropLast()) : name }

  var cri: CRIDNSConfig {
    var out = CRIDNSConfig()
    out.servers = servers
    out.searches = searches
    out.options = options
    return out
  }
}

/// Decides a pod's resolver settings. Pure.
enum PodDNS {
  static func config(pod: Pod, host: ResolverConfig, clusterDNS: [String], clusterDomain: String) -> ResolverConfig {
    var out = ResolverConfig()
    switch pod.spec.dnsPolicy {
    case "None": break
    case "Default": out = host
    case "ClusterFirst" where pod.spec.hostNetwork: out = host
    default:
      if clusterDNS.isEmpty {
        out = host
      } else {
        out.servers = clusterDNS
        var searches: [String] = []
        if !clusterDomain.isEmpty {
          searches = ["\(pod.metadata.namespace).svc.\(clusterDomain)", "svc.\(clusterDomain)", clusterDomain]
        }
        out.searches = unique(searches + host.searches)
        out.options = ["ndots:5"]
      }
    }
    guard let own = pod.spec.dnsConfig else { return out }
    out.servers = unique(out.servers + own.nameservers)
    out.searches = unique(out.searches + own.searches)
    for option in own.options {
      out.options.removeAll { $0.split(separator: ":").first.map(String.init) == option.name }
      out.options.append(option.value.map { $0.isEmpty ? option.name : "\(option.name):\($0)" } ?? option.name)
    }
    return out
  }

  private static func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}
