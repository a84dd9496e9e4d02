import Foundation
import HTTP
import Logging
import Synchronization
import Testing

@testable import CloudControllerManager

@Suite struct AWSCredentialTests {
  /// A directory with files that is gone when the test ends.
  private final class Directory {
    let path = NSTemporaryDirectory() + "apus-aws-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String, _ text: String) throws -> String {
      try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8)
      return "\(path)/\(name)"
    }
  }

  private func chain(_ environment: [String: String]) throws -> CredentialChain {
    var environment = environment
    environment["HOME"] = environment["HOME"] ?? "/nonexistent"
    return CredentialChain(
      environment: environment, profiles: try SharedProfiles(environment: environment), region: "eu-west-1",
      endpoints: AWSEndpoints(region: "eu-west-1", environment: environment), http: HTTPClient(),
      localTimeout: .seconds(30),
      logger: Logger(label: "aws-test"))
  }

  @Test func environmentComesFirst() async throws {
    let source = try chain([
      "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B", "AWS_SESSION_TOKEN": "C",
      "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
    ]).resolve()
    #expect(
      try await source.credentials() == AWSCredentials(accessKeyID: "A", secretAccessKey: "B", sessionToken: "C"))
  }

  @Test func profiles() async throws {
    let directory = try Directory()
    let config = try directory.file(
      "config",
      """
      [default]
      region = us-west-2
      s3 =
        max_concurrent_requests = 20
      [profile other]   # a comment
      region=eu-central-1
      aws_access_key_id = from-config
      [profile loop]
      role_arn = arn:aws:iam::1:role/x
      source_profile = loop2
      [profile loop2]
      role_arn = arn:aws:iam::1:role/y
      source_profile = loop
      """)
    let credentials = try directory.file(
      "credentials",
      """
      ; the keys
      [default]
      aws_access_key_id = D
      aws_secret_access_key = E/+=x
      [other]
      aws_access_key_id = O
      aws_secret_access_key = P
      aws_session_token = Q
      """)
    var environment = ["AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": credentials]
    #expect(
      try await chain(environment).resolve().credentials() == AWSCredentials(accessKeyID: "D", secretAccessKey: "E/+=x")
    )
    let shared = try SharedProfiles(environment: environment)
    #expect(shared.current?["region"] == "us-west-2")
    #expect(shared.current?["s3.max_concurrent_requests"] == "20")
    environment["AWS_PROFILE"] = "other"
    #expect(
      try await chain(environment).resolve().credentials()
        == AWSCredentials(accessKeyID: "O", secretAccessKey: "P", sessionToken: "Q"))
    environment["AWS_PROFILE"] = "loop"
    #expect(throws: AWSConfigurationError.self) { _ = try chain(environment).resolve() }
    environment["AWS_PROFILE"] = "none"
    #expect(throws: AWSConfigurationError.self) { _ = try chain(environment).resolve() }
  }

  private static func sts(_ action: String, _ key: String) -> String {
    "<\(action)Response><\(action)Result><Credentials><AccessKeyId>\(key)</AccessKeyId>"
      + "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
      + "<Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></\(action)Result></\(action)Response>"
  }

  @Test func aRoleThroughAnotherProfile() async throws {
    let service = try await FakeService { request, _ in
      FakeService.xml(Self.sts(request.form["Action"] ?? "", "ASSUMED"))
    }
    let directory = try Directory()
    let config = try directory.file(
      "config",
      """
      [profile role]
      role_arn = arn:aws:iam::1:role/r
      source_profile = base
      external_id = ext
      role_session_name = me
      [profile base]
      aws_access_key_id = BASE
      aws_secret_access_key = X
      """)
    let source = try chain(["AWS_CONFIG_FILE": config, "AWS_PROFILE": "role", "AWS_ENDPOINT_URL_STS": service.url])
      .resolve()
    let credentials = try await source.credentials()
    #expect(credentials.accessKeyID == "ASSUMED")
    #expect(credentials.expiration == Timestamp.parse("2100-01-01T00:00:00Z"))
    _ = try await source.credentials()
    let request = try #require(service.requests.first)
    #expect(service.requests.count == 1)
    #expect(request.form["Action"] == "AssumeRole")
    #expect(request.form["ExternalId"] == "ext")
    #expect(request.form["RoleSessionName"] == "me")
    #expect(request.headers["authorization"]?.contains("Credential=BASE/") == true)
    await service.stop()
  }

  @Test func webIdentity() async throws {
    let service = try await FakeService { request, _ in
      FakeService.xml(Self.sts(request.form["Action"] ?? "", "WEB"))
    }
    let directory = try Directory()
    let token = try directory.file("token", "the.jwt\n")
    let source = try chain([
      "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/w", "AWS_ENDPOINT_URL": service.url,
    ]).resolve()
    #expect(try await source.credentials().accessKeyID == "WEB")
    let request = try #require(service.requests.first)
    #expect(request.form["Action"] == "AssumeRoleWithWebIdentity")
    #expect(request.form["WebIdentityToken"] == "the.jwt")
    #expect(request.headers["authorization"] == nil)
    await service.stop()
  }

  @Test func containerEndpoint() async throws {
    let service = try await FakeService { request, _ in
      request.headers["authorization"] == "secret"
        ? FakeService.json(
          #"{"AccessKeyId":"C","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#)
        : FakeService.json(#"{"code":"AccessDenied","message":"no"}"#, status: 403)
    }
    let directory = try Directory()
    let file = try directory.file("auth", "secret\n")
    let url = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "\(service.url)/v1/credentials"]
    let source = try chain(url.merging(["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file]) { $1 }).resolve()
    #expect(try await source.credentials().accessKeyID == "C")
    let denied = try chain(url).resolve()
    let error = await #expect(throws: AWSConfigurationError.self) { _ = try await denied.credentials() }
    #expect(error?.description.contains("AccessDenied: no") == true)
    let remote = try chain(["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"]).resolve()
    await #expect(throws: AWSConfigurationError.self) { _ = try await remote.credentials() }
    await service.stop()
  }

  @Test func instanceMetadata() async throws {
    let service = try await FakeService { request, index in
      if request.method == "PUT", request.path == "/latest/api/token" { return FakeService.text("token-\(index)") }
      // The first token is refused later on, as after the service forgot it.
      guard let token = request.headers["x-aws-ec2-metadata-token"], !(token == "token-0" && index >= 3) else {
        return FakeService.text("", status: 401)
      }
      switch request.path {
      case "/latest/meta-data/iam/security-credentials/": return FakeService.text("the-role")
      case "/latest/meta-data/iam/security-credentials/the-role":
        return FakeService.json(
          #"{"Code":"Success","AccessKeyId":"I","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#
        )
      case "/latest/meta-data/placement/region": return FakeService.text("ap-south-1")
      default: return FakeService.text("", status: 404)
      }
    }
    let environment = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "\(service.url)/"]
    #expect(try await chain(environment).resolve().credentials().accessKeyID == "I")
    #expect(service.requests.map(\.method) == ["PUT", "GET", "GET"])
    await service.stop()
  }

  @Test func aForgottenMetadataTokenIsReplaced() async throws {
    let service = try await FakeService { request, index in
      if request.method == "PUT" { return FakeService.text("token-\(index)") }
      return request.headers["x-aws-ec2-metadata-token"] == "token-0"
        ? FakeService.text("", status: 401) : FakeService.text("ap-south-1")
    }
    let client = InstanceMetadataClient(
      environment: ["AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url], http: HTTPClient(), timeout: .seconds(30))
    #expect(try await client.region() == "ap-south-1")
    #expect(service.requests.map(\.method) == ["PUT", "GET", "PUT", "GET"])
    await service.stop()
    let disabled = InstanceMetadataClient(environment: ["AWS_EC2_METADATA_DISABLED": "true"], http: HTTPClient())
    await #expect(throws: AWSConfigurationError.self) { _ = try await disabled.region() }
  }

  /// New ones before the end; the old ones go on while new ones cannot be had, until they are too old.
  @Test func renewal() async throws {
    final class Source: CredentialSource {
      struct Down: Error {}
      let state = Mutex((count: 0, down: false, time: 0.0))
      func credentials() async throws -> AWSCredentials {
        try state.withLock { s in
          if s.down { throw Down() }
          s.count += 1
          return AWSCredentials(
            accessKeyID: "K\(s.count)", secretAccessKey: "s",
            expiration: Date(timeIntervalSince1970: Double(s.count) * 1000))
        }
      }
    }
    let source = Source()
    let cached = CachedCredentials(source, clock: { Date(timeIntervalSince1970: source.state.withLock { $0.time }) })
    func key(at seconds: Double) async throws -> String {
      source.state.withLock { $0.time = seconds }
      let credentials: AWSCredentials = try await cached.credentials()
      return credentials.accessKeyID
    }
    #expect(try await key(at: 0) == "K1")
    #expect(try await key(at: 699) == "K1")
    source.state.withLock { $0.down = true }
    #expect(try await key(at: 701) == "K1")
    await #expect(throws: Source.Down.self) { _ = try await key(at: 941) }
    source.state.withLock { $0.down = false }
    #expect(try await key(at: 942) == "K2")
    await cached.invalidate()
    #expect(try await key(at: 943) == "K3")
  }
}
