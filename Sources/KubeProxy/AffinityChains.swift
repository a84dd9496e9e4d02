/// The chains and sets of Services whose clients stay with their backend. There are few of them, so each has chains of
/// its own, after upstream's layout: a backend's set holds the clients that it has, each for the time of the affinity.
///
///     affinity-<services' backends> ─▶ @clients-A ─▶ backend-A ─▶ note the client in @clients-A, dnat to A
///                                   ├▶ @clients-B ─▶ backend-B
///                                   └▶ nobody's client: one of them by chance
struct AffinityChains: Equatable, Sendable {
  /// Rules by chain.
  private(set) var chains: [String: [String]] = [:]
  /// Seconds by set.
  private(set) var sets: [String: Int32] = [:]

  var isEmpty: Bool { chains.isEmpty }

  /// Adds what one port needs for these backends, and returns the chain to go to.
  mutating func add(_ backends: [Backend], of port: ServicePort, seconds: Int32) -> String {
    let owner = "\(port.identity)/\(port.proto)"
    var rules: [String] = []
    var choices: [String] = []
    for (index, backend) in backends.enumerated() {
      let mark = Self.hash("\(owner)/\(backend.address)/\(backend.port)")
      let set = "clients-\(mark)"
      sets[set] = seconds
      chains["backend-\(mark)"] = [
        "update @\(set) { ip saddr }", "meta l4proto \(port.proto) dnat to \(backend.address):\(backend.port)",
      ]
      rules.append("ip saddr @\(set) goto backend-\(mark)")
      choices.append("\(index) : goto backend-\(mark)")
    }
    rules.append("numgen random mod \(backends.count) vmap { \(choices.joined(separator: ", ")) }")
    let chain = "affinity-" + Self.hash(owner + backends.map { "/\($0.address):\($0.port)" }.joined())
    chains[chain] = rules
    return chain
  }

  /// Commands that make what is new, to stand before the elements that lead there.
  func additions(over old: AffinityChains) -> [String] {
    let table = "ip \(Ruleset.table)"
    var commands: [String] = []
    for (set, seconds) in sets.sorted(by: { $0.key < $1.key }) where old.sets[set] == nil {
      commands.append(
        "add set \(table) \(set) { type ipv4_addr ; flags dynamic,timeout ; timeout \(seconds)s ; }")
    }
    let new = chains.filter { old.chains[$0.key] == nil }.keys.sorted {
      // What is gone to must be there first.
      ($0.hasPrefix("affinity") ? 1 : 0, $0) < ($1.hasPrefix("affinity") ? 1 : 0, $1)
    }
    for chain in new {
      commands.append("add chain \(table) \(chain)")
      commands += (chains[chain] ?? []).map { "add rule \(table) \(chain) \($0)" }
    }
    return commands
  }

  /// Commands that remove what is stale, to stand behind the removal of the elements that led there.
  func removals(from old: AffinityChains) -> [String] {
    let table = "ip \(Ruleset.table)"
    let gone = old.chains.keys.filter { chains[$0] == nil }.sorted()
    return gone.map { "flush chain \(table) \($0)" } + gone.map { "delete chain \(table) \($0)" }
      + old.sets.keys.filter { sets[$0] == nil }.sorted().map { "delete set \(table) \($0)" }
  }

  /// Whether a set has another time now: the kernel has no way to change it.
  func conflicts(with old: AffinityChains) -> Bool {
    sets.contains { set, seconds in (old.sets[set] ?? seconds) != seconds }
  }

  /// A name that nft takes, from one that may hold anything.
  private static func hash(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 36)
  }
}
