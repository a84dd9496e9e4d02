import API
import Synchronization

/// What the service controller remembers of Services: how it last saw those with a load balancer, which nodes these
/// lead to, and what is to be done next.
final class ServiceMemory: Sendable {
  /// How much is to be done for a Service.
  enum Work: Int, Comparable, Sendable {
    /// Only the nodes changed.
    case nodes
    /// Everything is to be looked at.
    case everything

    static func < (a: Work, b: Work) -> Bool { a.rawValue < b.rawValue }
  }

  private struct State {
    var services: [ObjectKey: Service] = [:]
    var nodes: [ObjectKey: [Node]] = [:]
    var work: [ObjectKey: Work] = [:]
  }

  private let state = Mutex(State())

  subscript(key: ObjectKey) -> Service? {
    get { state.withLock { $0.services[key] } }
    set { state.withLock { $0.services[key] = newValue } }
  }

  /// The Services that may have a load balancer.
  var keys: [ObjectKey] { state.withLock { Array($0.services.keys) } }

  /// Notes what is to be done; more swallows less.
  func ask(_ work: Work, for key: ObjectKey) {
    state.withLock { $0.work[key] = max($0.work[key] ?? work, work) }
  }

  /// Takes what is to be done.
  func takeWork(_ key: ObjectKey) -> Work { state.withLock { $0.work.removeValue(forKey: key) } ?? .everything }

  /// Notes the nodes that a load balancer leads to; returns those before.
  @discardableResult
  func lead(_ key: ObjectKey, to nodes: [Node]) -> [Node]? {
    state.withLock { $0.nodes.updateValue(nodes, forKey: key) }
  }

  /// Forgets which nodes a load balancer leads to.
  func forgetNodes(_ key: ObjectKey) { _ = state.withLock { $0.nodes.removeValue(forKey: key) } }

  /// Forgets a Service.
  func forget(_ key: ObjectKey) {
    state.withLock {
      $0.services[key] = nil
      $0.nodes[key] = nil
    }
  }
}
