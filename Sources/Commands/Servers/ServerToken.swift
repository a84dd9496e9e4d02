import ArgumentParser
import PKI

/// The flags that name the server token.
struct ServerTokenOptions: ParsableArguments {
  @Option(
    help: """
      The secret with which servers join the cluster of a shared store (--datastore): that of \
      <data-dir>/server-token on any of its servers. The first server makes one unless it is given one.
      """)
  var token: String?

  @Option(help: "A file with the secret of --token.")
  var tokenFile: String?

  func validate() throws {
    guard token == nil || tokenFile == nil else { throw ValidationError("--token and --token-file exclude each other") }
    if let token { try Self.check(token) }
  }

  /// The token that was given on the command line.
  func given() throws -> String? {
    if let token { return token }
    guard let tokenFile else { return nil }
    guard let text = try AtomicFile.readText(tokenFile) else {
      throw ValidationError("--token-file: \(tokenFile) does not exist")
    }
    let token = text.filter { !$0.isWhitespace }
    try Self.check(token)
    return token
  }

  private static func check(_ token: String) throws {
    guard token.utf8.count >= 16 else { throw ValidationError("a server token has 16 characters or more") }
  }

  /// 256 random bits.
  static func random() -> String {
    let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
    return String(decoding: (0..<50).map { _ in digits[Int.random(in: 0..<36)] }, as: UTF8.self)
  }
}
