/// What every storage engine must do, as functions: each takes a fresh, empty store and throws a `Failure` when the
/// engine does something else. An engine's tests run all of them.
public enum StorageConformance {
  /// One requirement.
  public struct Case: Sendable, CustomStringConvertible {
    /// What the engine must do.
    public let name: String
    /// Tries it on an empty store.
    public let run: @Sendable (any Storage) async throws -> Void
    /// The name.
    public var description: String { name }
  }

  /// The engine did something else.
  public struct Failure: Error, CustomStringConvertible {
    /// What was expected.
    public let description: String
  }

  /// The whole suite.
  public static let cases: [Case] = writes + reads + follows + histories

  static func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    if !condition { throw Failure(description: what()) }
  }

  static func equal<T: Equatable>(_ found: T, _ expected: T, _ what: @autoclosure () -> String) throws {
    if found != expected { throw Failure(description: "\(what()): expected \(expected), found \(found)") }
  }

  static func committed(_ outcome: WriteOutcome, _ what: @autoclosure () -> String = "write") throws -> StoredValue {
    guard case .committed(let value, _) = outcome else {
      throw Failure(description: "\(what()) was not committed: \(outcome)")
    }
    return value
  }

  static func conflict(_ outcome: WriteOutcome, _ what: @autoclosure () -> String = "write") throws -> StoredValue? {
    guard case .conflict(let current) = outcome else {
      throw Failure(description: "\(what()) was committed: \(outcome)")
    }
    return current
  }

  static func failure(_ what: String, _ body: () async throws -> Void) async throws -> StorageError {
    do { try await body() } catch let error as StorageError { return error }
    throw Failure(description: "\(what) did not fail")
  }

  static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}
