import API
import Synchronization

/// The versions of what a controller wrote, so that it does not act on a cache that has not seen them yet.
final class WrittenVersions: Sendable {
  private enum Expected {
    case at(UInt64)
    case gone
  }

  private let state = Mutex<[ObjectKey: [ObjectKey: Expected]]>([:])

  /// Notes a write on behalf of an owner.
  func wrote<T: APIObject>(_ object: T, for owner: ObjectKey) {
    guard let version = UInt64(object.metadata.resourceVersion) else { return }
    state.withLock { $0[owner, default: [:]][object.key] = .at(version) }
  }

  /// Notes a deletion on behalf of an owner.
  func deleted<T: APIObject>(_ object: T, for owner: ObjectKey) {
    state.withLock { $0[owner, default: [:]][object.key] = .gone }
  }

  /// The informer says that an object is gone.
  func sawDeletion<T: APIObject>(_ object: T, of owner: ObjectKey) {
    state.withLock { $0[owner]?[object.key] = nil }
  }

  /// Whether the cache shows everything written for an owner.
  func isCurrent<T: APIObject>(_ owner: ObjectKey, cached: [T]) -> Bool {
    let expected = state.withLock { $0[owner] ?? [:] }
    guard !expected.isEmpty else { return true }
    let byKey = Dictionary(cached.map { ($0.key, $0) }, uniquingKeysWith: { $1 })
    return expected.allSatisfy { key, expectation in
      switch expectation {
      case .gone: return byKey[key] == nil
      case .at(let version):
        guard let object = byKey[key], let seen = UInt64(object.metadata.resourceVersion) else { return false }
        return seen >= version
      }
    }
  }

  /// Whether an object as seen is one this controller wrote.
  func isOwn<T: APIObject>(_ object: T, of owner: ObjectKey) -> Bool {
    guard let seen = UInt64(object.metadata.resourceVersion),
      case .at(let version)? = state.withLock({ $0[owner]?[object.key] })
    else { return false }
    return seen <= version
  }

  /// Forgets an owner.
  func forget(_ owner: ObjectKey) { state.withLock { $0[owner] = nil } }
}
