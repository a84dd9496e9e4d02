public import API
public import Client

/// Clients that act as service accounts of kube-system, for a controller manager that runs by itself: each asks for a
/// token of its account with the controller manager's own rights, and for the next before that one ends.
public final class AccountClients: Sendable {
  private let root: APIClient
  private let anonymous: any Transport

  /// Makes clients whose requests travel over a transport that has no credentials of its own; `root` asks for tokens,
  /// and makes accounts that are missing.
  public init(root: APIClient, anonymous: any Transport) {
    self.root = root
    self.anonymous = anonymous
  }

  /// A client that acts as an account.
  public func client(_ account: String) -> APIClient {
    let token = AccountToken(account: account, root: root)
    return APIClient(
      transport: AccountTransport(inner: anonymous, token: token),
      userAgent: "\(root.userAgent)/system:serviceaccount:\(AccountToken.namespace):\(account)")
  }
}

/// The token of one account, asked for when it is needed and kept for four fifths of its life.
actor AccountToken {
  static let namespace = "kube-system"
  /// How long a token lives, seconds.
  static let lifetime: Int64 = 3600

  private let account: String
  private let root: APIClient
  private let now: @Sendable () -> ContinuousClock.Instant
  private var held: (text: String, renewAt: ContinuousClock.Instant)?
  private var request: Task<String, any Error>?

  init(
    account: String, root: APIClient, now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
  ) {
    self.account = account
    self.root = root
    self.now = now
  }

  /// The token in hand, or a new one.
  func current() async throws -> String {
    if let held, held.renewAt > now() { return held.text }
    if let request { return try await request.value }
    // Not structured: all who need a token at this moment wait for the same request, and outlive each other.
    let fresh = Task { try await renew() }
    request = fresh
    defer { request = nil }
    return try await fresh.value
  }

  /// Forgets a token that the server refused.
  func refused(_ text: String) {
    if held?.text == text { held = nil }
  }

  private func renew() async throws -> String {
    var wanted = TokenRequest()
    wanted.spec.expirationSeconds = Self.lifetime
    let answer: TokenRequest
    do {
      answer = try await root.createToken(namespace: Self.namespace, serviceAccount: account, wanted)
    } catch let error as StatusError where error.isNotFound {
      try await makeAccount()
      answer = try await root.createToken(namespace: Self.namespace, serviceAccount: account, wanted)
    }
    // The server may grant less than was asked for.
    let seconds = answer.spec.expirationSeconds ?? Self.lifetime
    held = (answer.status.token, now() + .seconds(seconds * 4 / 5))
    return answer.status.token
  }

  private func makeAccount() async throws {
    do {
      try await root.create(
        ServiceAccount {
          $0.metadata.namespace = Self.namespace
          $0.metadata.name = account
        })
    } catch let error as StatusError where error.isAlreadyExists {
      // Another instance was faster.
    }
  }
}

/// Adds an account's token to every request.
struct AccountTransport: Transport {
  let inner: any Transport
  let token: AccountToken

  func send(_ request: TransportRequest) async throws -> TransportResponse {
    let text = try await token.current()
    let response = try await inner.send(authorized(request, text))
    guard response.status == 401 else { return response }
    // The account was made anew, or the key that signed its tokens is gone.
    await token.refused(text)
    return try await inner.send(authorized(request, try await token.current()))
  }

  func stream(_ request: TransportRequest) async throws -> TransportStream {
    let text = try await token.current()
    let response = try await inner.stream(authorized(request, text))
    guard response.status == 401 else { return response }
    await token.refused(text)
    return try await inner.stream(authorized(request, try await token.current()))
  }

  private func authorized(_ request: TransportRequest, _ text: String) -> TransportRequest {
    var request = request
    request.headers.append(("Authorization", "Bearer \(text)"))
    return request
  }
}
