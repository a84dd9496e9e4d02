internal import Crypto
internal import FoundationEssentials

/// A JSON web signature (RFC 7515) with HMAC-SHA256 whose content is elsewhere (`header..signature`): what proves to the
/// holder of a bootstrap token that `cluster-info` was published by a cluster that knows the token.
public enum DetachedSignature {
  /// Signs content with a token's secret; the token's id says which token it was.
  public static func make(_ content: String, tokenID: String, tokenSecret: String) -> String {
    let header = Base64URL.string(Array("{\"alg\":\"HS256\",\"kid\":\"\(tokenID)\"}".utf8))
    return header + ".." + Base64URL.string(code(header, content, tokenSecret))
  }

  /// Whether a signature was made of this content with this token.
  public static func isValid(_ signature: String, of content: String, tokenID: String, tokenSecret: String) -> Bool {
    let parts = signature.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1].isEmpty, let header = Base64URL.decode(parts[0].utf8),
      let mark = Base64URL.decode(parts[2].utf8),
      let fields = try? JSONDecoder().decode([String: String].self, from: Data(header)),
      fields["alg"] == "HS256", fields["kid"] == tokenID
    else { return false }
    return HMAC<SHA256>.isValidAuthenticationCode(
      mark, authenticating: input(String(parts[0]), content), using: SymmetricKey(data: Array(tokenSecret.utf8)))
  }

  private static func input(_ header: String, _ content: String) -> [UInt8] {
    Array("\(header).\(Base64URL.string(Array(content.utf8)))".utf8)
  }

  private static func code(_ header: String, _ content: String, _ secret: String) -> [UInt8] {
    Array(
      HMAC<SHA256>.authenticationCode(
        for: input(header, content), using: SymmetricKey(data: Array(secret.utf8))))
  }
}
