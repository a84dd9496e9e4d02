import FoundationEssentials
import HTTP
import Logging

/// Finds the credentials to use, in the SDKs' order: the environment, a web identity, the profile, the container's
/// endpoint, the instance's metadata.
struct CredentialChain: Sendable {
  var environment: [String: String]
  var profiles: SharedProfiles
  var region: String
  var endpoints: AWSEndpoints
  var http: HTTPClient
  /// How long the machine's own endpoints may take.
  var localTimeout = Duration.seconds(1)
  var logger: Logger

  /// The source that is configured first. What is fetched is kept and renewed.
  func resolve() throws -> any CredentialSource {
    if let credentials = environmentCredentials { return StaticCredentials(value: credentials) }
    if !profiles.explicit, let source = try webIdentity() { return CachedCredentials(source) }
    if profiles.explicit || profiles.current != nil, let source = try profile(profiles.selected, seen: []) {
      return CachedCredentials(source)
    }
    if profiles.explicit { throw AWSConfigurationError("no credentials in profile \"\(profiles.selected)\"") }
    return CachedCredentials(ambient())
  }

  /// The credentials of the machine or container.
  private func ambient() -> any CredentialSource {
    if let source = ContainerCredentials(environment: environment, http: http) { return source }
    return InstanceCredentials(
      metadata: InstanceMetadataClient(environment: environment, http: http, timeout: localTimeout))
  }

  private var environmentCredentials: AWSCredentials? {
    func first(_ names: String...) -> String? {
      names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
    }
    guard let id = first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"),
      let secret = first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
    else { return nil }
    return AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: first("AWS_SESSION_TOKEN"))
  }

  private func webIdentity() throws -> (any CredentialSource)? {
    guard let file = environment["AWS_WEB_IDENTITY_TOKEN_FILE"], !file.isEmpty else { return nil }
    guard let role = environment["AWS_ROLE_ARN"], !role.isEmpty else {
      throw AWSConfigurationError("AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not")
    }
    return WebIdentityCredentials(
      sts: try sts(nil), role: role, session: session(environment["AWS_ROLE_SESSION_NAME"]), tokenFile: file)
  }

  private func session(_ name: String?) -> String {
    name.flatMap { $0.isEmpty ? nil : $0 } ?? "apus-\(Int(Date().timeIntervalSince1970))"
  }

  private func sts(_ credentials: (any CredentialSource)?) throws -> QueryClient {
    QueryClient(
      service: .sts, endpoint: try endpoints.resolve(.sts), http: http, credentials: credentials, logger: logger)
  }

  private func profile(_ name: String, seen: [String]) throws -> (any CredentialSource)? {
    guard let profile = profiles[name] else {
      throw AWSConfigurationError("failed to get shared config profile, \(name)")
    }
    let keys = staticCredentials(profile)
    guard let role = profile["role_arn"], !(seen.last == name && keys != nil) else {
      return keys.map { StaticCredentials(value: $0) }
    }
    let session = session(profile["role_session_name"])
    if let file = profile["web_identity_token_file"] {
      return WebIdentityCredentials(sts: try sts(nil), role: role, session: session, tokenFile: file)
    }
    let base: any CredentialSource
    if let source = profile["source_profile"] {
      guard !seen.contains(source) || (source == name && keys != nil) else {
        throw AWSConfigurationError("profile \"\(source)\" leads to itself by source_profile")
      }
      if source == name, let keys {
        base = StaticCredentials(value: keys)
      } else if let found = try self.profile(source, seen: seen + [name]) {
        base = found
      } else {
        throw AWSConfigurationError("no credentials in profile \"\(source)\"")
      }
    } else {
      switch profile["credential_source"] {
      case "Environment":
        guard let credentials = environmentCredentials else {
          throw AWSConfigurationError("profile \"\(name)\": no credentials in the environment")
        }
        base = StaticCredentials(value: credentials)
      case "EcsContainer":
        guard let container = ContainerCredentials(environment: environment, http: http) else {
          throw AWSConfigurationError("profile \"\(name)\": no container credentials endpoint in the environment")
        }
        base = CachedCredentials(container)
      case "Ec2InstanceMetadata":
        base = CachedCredentials(
          InstanceCredentials(
            metadata: InstanceMetadataClient(environment: environment, http: http, timeout: localTimeout)))
      default:
        throw AWSConfigurationError("profile \"\(name)\" has role_arn without source_profile or credential_source")
      }
    }
    return AssumedRoleCredentials(
      sts: try sts(base), role: role, session: session, externalID: profile["external_id"],
      duration: profile["duration_seconds"].flatMap { Int($0) })
  }

  private func staticCredentials(_ profile: INIFile.Section) -> AWSCredentials? {
    guard let id = profile["aws_access_key_id"], let secret = profile["aws_secret_access_key"] else { return nil }
    return AWSCredentials(accessKeyID: id, secretAccessKey: secret, sessionToken: profile["aws_session_token"])
  }
}
