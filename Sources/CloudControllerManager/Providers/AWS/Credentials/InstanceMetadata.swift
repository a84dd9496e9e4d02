import FoundationEssentials
import HTTP

/// The metadata service of an EC2 instance, version 2: a token first, then paths.
actor InstanceMetadataClient {
  /// How long a token is asked for, in seconds.
  static let tokenLifetime = 21_600

  private let base: String
  private let disabled: Bool
  private let http: HTTPClient
  private let timeout: Duration
  private var token: (text: String, until: ContinuousClock.Instant)?

  init(environment: [String: String], http: HTTPClient, timeout: Duration = .seconds(1)) {
    disabled = environment["AWS_EC2_METADATA_DISABLED"]?.lowercased() == "true"
    let named = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ?? ""
    let sixth = environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.lowercased() == "ipv6"
    let url = named.isEmpty ? (sixth ? "http://[fd00:ec2::254]" : "http://169.254.169.254") : named
    base = url.hasSuffix("/") ? String(url.dropLast()) : url
    self.http = http
    self.timeout = timeout
  }

  /// What stands at a path under `/latest`; nil for 404.
  func get(_ path: String) async throws -> String? {
    guard !disabled else { throw AWSConfigurationError("the instance metadata service is disabled") }
    for attempt in 0..<3 {
      let response = try await send(
        "GET", path, ["x-aws-ec2-metadata-token": try await currentToken(fresh: attempt > 0)])
      switch response.status {
      case 200: return String(decoding: response.body, as: UTF8.self)
      case 404: return nil
      case 401, 500...: continue
      default: throw AWSConfigurationError("the instance metadata service answered \(response.status) for \(path)")
      }
    }
    throw AWSConfigurationError("the instance metadata service does not serve \(path)")
  }

  private func currentToken(fresh: Bool) async throws -> String {
    let now = ContinuousClock.now
    if !fresh, let token, now < token.until { return token.text }
    let response = try await send(
      "PUT", "/api/token", ["x-aws-ec2-metadata-token-ttl-seconds": String(Self.tokenLifetime)])
    guard response.status == 200 else {
      throw AWSConfigurationError("the instance metadata service gave no token: \(response.status)")
    }
    let granted = response.headers["x-aws-ec2-metadata-token-ttl-seconds"].flatMap { Int($0) } ?? Self.tokenLifetime
    let text = String(decoding: response.body, as: UTF8.self)
    token = (text, now + .seconds(max(granted - 60, granted / 2)))
    return text
  }

  private func send(_ method: String, _ path: String, _ headers: HTTPFields) async throws -> HTTPClientResponse {
    var attempt = 0
    while true {
      do {
        return try await http.send(
          HTTPClientRequest(method: method, url: "\(base)/latest\(path)", headers: headers, timeout: timeout))
      } catch let error as HTTPClientError {
        attempt += 1
        guard attempt < 2 else {
          throw AWSConfigurationError("the instance metadata service is out of reach: \(error)")
        }
      }
    }
  }

  /// The region of the instance.
  func region() async throws -> String {
    guard let region = try await get("/meta-data/placement/region"), !region.isEmpty else {
      throw AWSConfigurationError("the instance metadata service does not name the region")
    }
    return region
  }

  /// The instance's own id.
  func instanceID() async throws -> String {
    guard let id = try await get("/meta-data/instance-id"), !id.isEmpty else {
      throw AWSConfigurationError("the instance metadata service does not name the instance")
    }
    return id
  }
}

/// The credentials of the instance's role.
struct InstanceCredentials: CredentialSource {
  var metadata: InstanceMetadataClient

  func credentials() async throws -> AWSCredentials {
    let path = "/meta-data/iam/security-credentials/"
    guard let roles = try await metadata.get(path),
      let role = roles.split(whereSeparator: \.isNewline).first
    else { throw AWSConfigurationError("no credentials: none are configured, and the instance has no role") }
    guard let text = try await metadata.get(path + role) else {
      throw AWSConfigurationError("the instance metadata service has no credentials for the role \(role)")
    }
    return try CredentialDocument.parse(Array(text.utf8), from: "the instance metadata service")
  }
}
