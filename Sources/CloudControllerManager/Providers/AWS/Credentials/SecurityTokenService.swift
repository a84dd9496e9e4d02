import FoundationEssentials

/// Credentials of a role, for a token that another identity provider wrote into a file (a service account's token).
struct WebIdentityCredentials: CredentialSource {
  var sts: QueryClient
  var role: String
  var session: String
  var tokenFile: String

  func credentials() async throws -> AWSCredentials {
    // Read every time: the file is replaced while the process runs.
    guard let token = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
      throw AWSConfigurationError("cannot read the web identity token in \(tokenFile)")
    }
    let answer = try await sts.call(
      "AssumeRoleWithWebIdentity",
      QueryParameters([
        "RoleArn": role, "RoleSessionName": session,
        "WebIdentityToken": String(token.split(whereSeparator: \.isWhitespace).first ?? ""),
      ]))
    return try answer.find("AssumeRoleWithWebIdentityResult", "Credentials").credentials
  }
}

/// Credentials of a role, taken on with other credentials.
struct AssumedRoleCredentials: CredentialSource {
  /// Signs with the credentials that may take on the role.
  var sts: QueryClient
  var role: String
  var session: String
  var externalID: String?
  var duration: Int?

  func credentials() async throws -> AWSCredentials {
    let answer = try await sts.call(
      "AssumeRole",
      QueryParameters([
        "RoleArn": role, "RoleSessionName": session, "ExternalId": externalID,
        "DurationSeconds": duration.map { String($0) },
      ]))
    return try answer.find("AssumeRoleResult", "Credentials").credentials
  }
}

extension Optional<XMLElement> {
  /// The credentials in an answer of STS.
  fileprivate var credentials: AWSCredentials {
    get throws {
      guard let self, !self.string("AccessKeyId").isEmpty else {
        throw AWSConfigurationError("STS answered without credentials")
      }
      return AWSCredentials(
        accessKeyID: self.string("AccessKeyId"), secretAccessKey: self.string("SecretAccessKey"),
        sessionToken: self.string("SessionToken"), expiration: Timestamp.parse(self.string("Expiration")))
    }
  }
}
