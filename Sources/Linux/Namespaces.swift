import CLinux
import Glibc

/// A system call's failure.
public struct SystemError: Error, Sendable, CustomStringConvertible {
  /// What was tried.
  public let call: String
  /// The kernel's error number.
  public let number: Int32

  /// Takes the calling thread's `errno`.
  public init(_ call: String) { self.init(call, number: errno) }

  public init(_ call: String, number: Int32) {
    self.call = call
    self.number = number
  }

  public var description: String { "\(call): \(String(cString: strerror(number)))" }
}

/// Linux namespaces. They belong to a thread, so they are entered on a thread of their own, never on a pool's.
public enum Namespaces {
  /// Kinds of namespace.
  public enum Kind: Sendable {
    case mount, network, uts

    var flag: Int32 {
      switch self {
      case .mount: Int32(CLINUX_CLONE_NEWNS)
      case .network: Int32(CLINUX_CLONE_NEWNET)
      case .uts: Int32(CLINUX_CLONE_NEWUTS)
      }
    }
  }

  /// Runs `body` on a new thread that has left the caller's namespaces of the given kinds for new ones. The namespaces
  /// end with the thread. Throws what `body` throws, or a `SystemError`.
  public static func withNew<Value: Sendable>(
    _ kinds: [Kind], _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await onThread {
      if clinux_unshare(kinds.reduce(0) { $0 | $1.flag }) != 0 { throw SystemError("unshare") }
      return try body()
    }
  }

  /// Runs `body` on a new thread inside the network namespace that the file at `path` stands for.
  public static func withNetwork<Value: Sendable>(
    at path: String, _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await onThread {
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw SystemError("open \(path)") }
      defer { close(descriptor) }
      if clinux_setns(descriptor, Kind.network.flag) != 0 { throw SystemError("setns \(path)") }
      return try body()
    }
  }

  private final class Work {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }

  private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let work = Unmanaged.passRetained(Work { continuation.resume(with: Result { try body() }) })
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { raw in
          if let raw { Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().run() }
          return nil
        }, work.toOpaque())
      guard status == 0 else {
        work.release()
        return continuation.resume(throwing: SystemError("pthread_create", number: status))
      }
      pthread_detach(thread)
    }
  }
}
