import APIMachinery
import HTTP
import Logging
import PKI
import Synchronization

/// An issuer of tokens and its keys, which its discovery document leads to. They are fetched when they are first needed,
/// kept, and fetched again when a token is signed by a key that is not among them.
final class JWTIssuer: Sendable {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  let url: String
  private let discoveryURL: String
  private let client: HTTPClient
  private let logger: Logger
  /// How long at least lies between two attempts.
  private let pause: Duration

  private struct State {
    var keys: JSONWebKeySet?
    var keysURL: String?
    var last: ContinuousClock.Instant?
    var problem = "authenticator not initialized"
    var fetching: Task<Void, Never>?
  }
  private let state = Mutex(State())
  private static let maxAnswer = 1 << 20

  /// `discoveryURL`: where the discovery document is, when it is not where the issuer's URL says.
  init(
    url: String, discoveryURL: String?, authorityPEM: String?, pause: Duration = .seconds(10), logger: Logger
  ) {
    self.url = url
    let root = url.hasSuffix("/") ? String(url.dropLast()) : url
    self.discoveryURL = discoveryURL ?? root + "/.well-known/openid-configuration"
    self.pause = pause
    self.logger = logger
    client = HTTPClient(
      configuration: HTTPClientConfiguration(tls: ClientTLSOptions(trustedCAPEM: authorityPEM), logger: logger))
  }

  /// Fetches the keys ahead of the first token.
  func prepare() { Task { await fetch() } }

  /// Whether the issuer signed the token. Throws `Failure` where that cannot be said.
  func hasSigned(_ token: SignedToken) async throws -> Bool {
    if let keys = state.withLock({ $0.keys }), keys.verify(token) { return true }
    await fetch()
    let (keys, problem) = state.withLock { ($0.keys, $0.problem) }
    guard let keys else { throw Failure(description: problem) }
    return keys.verify(token)
  }

  /// Fetches the keys unless that was tried a moment ago.
  private func fetch() async {
    let task = state.withLock { state -> Task<Void, Never>? in
      if let present = state.fetching { return present }
      if let last = state.last, ContinuousClock.now - last < pause { return nil }
      state.last = .now
      // Not structured: what is fetched is for all who wait, even when the first of them goes away.
      let task = Task { await self.fetchNow() }
      state.fetching = task
      return task
    }
    await task?.value
  }

  private func fetchNow() async {
    do {
      let known = state.withLock { $0.keysURL }
      let address = if let known { known } else { try await discover() }
      let keys: JSONWebKeySet
      do { keys = try JSONWebKeySet(JSONValue(parsing: try await get(address))) } catch let error as Failure {
        throw error
      } catch { throw Failure(description: "failed to decode keys: \(error)") }
      state.withLock { state in
        state.keysURL = address
        state.keys = keys
        state.fetching = nil
      }
    } catch {
      logger.error("oidc authenticator: \(error)", metadata: ["issuer": "\(url)"])
      state.withLock { state in
        state.problem = "authenticator not initialized: \(error)"
        state.fetching = nil
      }
    }
  }

  /// The keys' place, by the discovery document.
  private func discover() async throws -> String {
    let document: JSONValue
    do { document = try JSONValue(parsing: try await get(discoveryURL)) } catch let error as Failure {
      throw error
    } catch { throw Failure(description: "oidc: failed to decode provider discovery object: \(error)") }
    let named = document["issuer"]?.stringValue ?? ""
    guard named == url else {
      throw Failure(
        description: "oidc: issuer did not match the issuer returned by provider, expected \(goQuoted(url)) got "
          + goQuoted(named))
    }
    guard let keys = document["jwks_uri"]?.stringValue, !keys.isEmpty else {
      throw Failure(description: "oidc: the discovery document names no jwks_uri")
    }
    return keys
  }

  /// Reads a document of the issuer; with a token where it asks for one.
  func get(_ address: String, bearer: String? = nil) async throws -> [UInt8] {
    let (origin, target): (HTTPOrigin, String)
    do { (origin, target) = try HTTPOrigin.parse(address) } catch { throw Failure(description: "\(error)") }
    var headers = HTTPFields()
    headers.add("accept", "application/json, */*")
    if let bearer { headers.add("authorization", "Bearer " + bearer) }
    let answer: HTTPClientResponse
    do {
      answer = try await client.send(
        HTTPClientRequest(
          method: "GET", origin: origin, target: target.isEmpty ? "/" : target, headers: headers,
          timeout: .seconds(30)))
    } catch { throw Failure(description: "Get \(goQuoted(address)): \(error)") }
    guard answer.status == 200 else {
      let text = String(decoding: answer.body.prefix(512), as: UTF8.self)
      throw Failure(description: "\(answer.status): \(text)")
    }
    guard answer.body.count <= Self.maxAnswer else { throw Failure(description: "the response is too large") }
    return answer.body
  }

  func shutdown() async { await client.shutdown() }
}
