/// An error that a service of Amazon's answered with.
public struct AWSError: Error, Sendable, CustomStringConvertible {
  /// The service and the action asked of it.
  public var operation: String
  /// The service's name for the error, as `InvalidInstanceID.NotFound`.
  public var code: String
  /// The service's words.
  public var message: String
  /// The HTTP status.
  public var status: Int
  /// The request's id in the service's records.
  public var requestID: String

  /// Upstream's SDK words it like this.
  public var description: String {
    "operation error \(operation), https response error StatusCode: \(status), RequestID: \(requestID), "
      + "api error \(code): \(message)"
  }

  private static let throttles: Set<String> = [
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "TooManyRequestsException",
    "ProvisionedThroughputExceededException", "TransactionInProgressException", "PriorRequestNotComplete", "SlowDown",
    "EC2ThrottledException",
  ]
  private static let transients: Set<String> = [
    "RequestTimeout", "RequestTimeoutException", "InternalError", "InternalFailure", "InternalServerError",
    "ServiceUnavailable", "Unavailable", "IDPCommunicationError",
  ]
  private static let expired: Set<String> = [
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure",
  ]
  private static let skewed: Set<String> = [
    "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture", "InvalidSignatureException",
    "SignatureDoesNotMatch",
  ]

  /// The caller asks too often.
  var isThrottle: Bool { status == 429 || Self.throttles.contains(code) }
  /// The same request may succeed a moment later.
  var isTransient: Bool { [500, 502, 503, 504].contains(status) || Self.transients.contains(code) }
  /// The credentials may have been replaced.
  var suspectsCredentials: Bool { Self.expired.contains(code) }
  /// The clock here may be wrong.
  var suspectsClock: Bool { Self.skewed.contains(code) }
}

/// A setting that is wrong or missing.
public struct AWSConfigurationError: Error, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}
