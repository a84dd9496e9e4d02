import Synchronization

/// Who may come without credentials. Kept apart since a configuration file can change it.
final class AnonymousRule: Sendable {
  enum Rule: Sendable, Equatable {
    case nowhere
    case everywhere
    /// Only at these paths.
    case at(Set<String>)
  }
  private let rule: Mutex<Rule>

  init(_ rule: Rule) { self.rule = Mutex(rule) }

  func set(_ rule: Rule) { self.rule.withLock { $0 = rule } }

  func allows(path: String) -> Bool {
    switch rule.withLock({ $0 }) {
    case .nowhere: false
    case .everywhere: true
    case .at(let paths): paths.contains(path)
    }
  }
}
