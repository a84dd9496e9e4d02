/// Why a patch cannot be used or does not apply.
public struct PatchError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The fault, in upstream's words.
  public var message: String
  /// What the client hears: 400 for a malformed patch, 422 for one that does not fit, 413, or 500.
  public var code: Int

  public init(_ message: String, code: Int = 422) {
    self.message = message
    self.code = code
  }

  public var description: String { message }

  /// As the API server answers. Upstream hides the text of a patch that does not fit.
  public var status: StatusError {
    switch code {
    case 400: .badRequest(message)
    case 413: .requestEntityTooLarge(message)
    case 422:
      StatusError(
        code: 422, reason: "Invalid", message: "the server rejected our request due to an error in our request",
        details: StatusError.Details())
    default: StatusError(code: 500, reason: "", message: message)
    }
  }
}
