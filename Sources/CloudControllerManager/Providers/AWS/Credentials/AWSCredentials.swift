import FoundationEssentials

/// What requests are signed with.
struct AWSCredentials: Sendable, Equatable {
  var accessKeyID: String
  var secretAccessKey: String
  var sessionToken: String?
  /// When they stop working; nil: never.
  var expiration: Date?
}

/// Where credentials come from.
protocol CredentialSource: Sendable {
  func credentials() async throws -> AWSCredentials
  /// The credentials were refused: those kept are to be fetched anew.
  func invalidate() async
}

extension CredentialSource {
  func invalidate() async {}
}

/// Credentials that are simply there.
struct StaticCredentials: CredentialSource {
  var value: AWSCredentials
  func credentials() async throws -> AWSCredentials { value }
}

/// Keeps the credentials of a source and fetches new ones before they expire, once for all who ask.
actor CachedCredentials: CredentialSource {
  /// From this long before the end new ones are wanted; failing to get them is no error yet.
  static let advisory = 300.0
  /// From this long before the end the old ones are not used any more.
  static let mandatory = 60.0

  private let source: any CredentialSource
  private let clock: @Sendable () -> Date
  private var kept: AWSCredentials?
  private var fetching: Task<AWSCredentials, any Error>?
  private var retryAfter = Date.distantPast

  init(_ source: any CredentialSource, clock: @escaping @Sendable () -> Date = { Date() }) {
    self.source = source
    self.clock = clock
  }

  func credentials() async throws -> AWSCredentials {
    let now = clock()
    guard let kept else { return try await fetch() }
    guard let left = kept.expiration?.timeIntervalSince(now), left < Self.advisory else { return kept }
    if left <= Self.mandatory { return try await fetch() }
    guard now >= retryAfter else { return kept }
    do {
      return try await fetch()
    } catch {
      retryAfter = now.addingTimeInterval(30)
      return kept
    }
  }

  func invalidate() async {
    kept = nil
    await source.invalidate()
  }

  private func fetch() async throws -> AWSCredentials {
    if let fetching { return try await fetching.value }
    let source = self.source
    // Not structured: one caller's cancellation must not fail the others who wait for the same answer.
    let task = Task { try await source.credentials() }
    fetching = task
    defer { fetching = nil }
    let fresh = try await task.value
    kept = fresh
    return fresh
  }
}
