/// A bootstrap token as people hand it on: `id.secret`.
struct JoinToken: Sendable, Equatable {
  static let idLength = 6
  static let secretLength = 16
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")

  var id: String
  var secret: String

  var text: String { "\(id).\(secret)" }
  var secretName: String { "bootstrap-token-\(id)" }

  /// Nil for a text of another form.
  init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].count == Self.idLength, parts[1].count == Self.secretLength,
      parts.allSatisfy({ $0.allSatisfy(Self.letters.contains) })
    else { return nil }
    id = String(parts[0])
    secret = String(parts[1])
  }

  /// A new one, from the system's randomness.
  static func make() -> JoinToken {
    var generator = SystemRandomNumberGenerator()
    func text(_ count: Int) -> String {
      String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
    }
    return JoinToken(id: text(idLength), secret: text(secretLength))
  }

  private init(id: String, secret: String) {
    self.id = id
    self.secret = secret
  }

  /// Whether a text has the form of a token's id.
  static func isID(_ text: String) -> Bool { text.count == idLength && text.allSatisfy(letters.contains) }
}
