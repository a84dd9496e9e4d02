import FoundationEssentials
import HTTP

/// The JSON form in which both the container's endpoint and the instance's metadata give credentials.
struct CredentialDocument: Decodable {
  var AccessKeyId: String?
  var SecretAccessKey: String?
  var Token: String?
  var Expiration: String?
  var Code: String?
  var Message: String?
  var code: String?
  var message: String?

  static func parse(_ body: [UInt8], from place: String) throws -> AWSCredentials {
    guard let document = try? JSONDecoder().decode(CredentialDocument.self, from: Data(body)) else {
      throw AWSConfigurationError("\(place) answered without credentials")
    }
    guard let id = document.AccessKeyId, let secret = document.SecretAccessKey else {
      let reason = [document.Code ?? document.code, document.Message ?? document.message].compactMap { $0 }
      throw AWSConfigurationError("\(place) gave no credentials: \(reason.joined(separator: ": "))")
    }
    return AWSCredentials(
      accessKeyID: id, secretAccessKey: secret, sessionToken: document.Token,
      expiration: document.Expiration.flatMap(Timestamp.parse))
  }
}

/// The credentials that a container service (ECS, EKS Pod Identity) offers its containers over HTTP.
struct ContainerCredentials: CredentialSource {
  private let url: String
  private let token: String?
  private let tokenFile: String?
  private let http: HTTPClient

  /// Nil when the environment names no endpoint.
  init?(environment: [String: String], http: HTTPClient) {
    if let path = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"], !path.isEmpty {
      url = "http://169.254.170.2\(path)"
    } else if let full = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"], !full.isEmpty {
      url = full
    } else {
      return nil
    }
    token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    tokenFile = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    self.http = http
  }

  func credentials() async throws -> AWSCredentials {
    let (origin, target) = try HTTPOrigin.parse(url)
    // Credentials in clear text must not leave the machine.
    if case .http(let host, _) = origin, !Self.isLocal(host) {
      throw AWSConfigurationError("the container credentials endpoint \(url) is neither local nor HTTPS")
    }
    var headers: HTTPFields = ["accept": "application/json"]
    if let tokenFile, !tokenFile.isEmpty {
      guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
        throw AWSConfigurationError("cannot read the authorization token in \(tokenFile)")
      }
      headers["authorization"] = String(text.split(whereSeparator: \.isNewline).first ?? "")
    } else if let token, !token.isEmpty {
      headers["authorization"] = token
    }
    var attempt = 0
    while true {
      attempt += 1
      do {
        let response = try await http.send(
          HTTPClientRequest(origin: origin, target: target, headers: headers, timeout: .seconds(2)))
        if response.status == 200 || attempt >= 3 || response.status < 500 {
          return try CredentialDocument.parse(response.body, from: "the container credentials endpoint")
        }
      } catch let error as HTTPClientError {
        guard attempt < 3 else { throw error }
      }
      try await Task.sleep(for: .milliseconds(100 * attempt))
    }
  }

  private static func isLocal(_ host: String) -> Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.") || host == "169.254.170.2"
      || host == "169.254.170.23" || host.lowercased() == "fd00:ec2::23"
  }
}
