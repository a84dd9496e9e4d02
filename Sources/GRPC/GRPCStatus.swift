/// How a call ended: the status code, its message, and the metadata that came with it.
public struct GRPCStatus: Error, Sendable, Hashable, CustomStringConvertible {
  /// The canonical gRPC codes.
  public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public var rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    public static let ok = Code(rawValue: 0)
    public static let cancelled = Code(rawValue: 1)
    public static let unknown = Code(rawValue: 2)
    public static let invalidArgument = Code(rawValue: 3)
    public static let deadlineExceeded = Code(rawValue: 4)
    public static let notFound = Code(rawValue: 5)
    public static let alreadyExists = Code(rawValue: 6)
    public static let permissionDenied = Code(rawValue: 7)
    public static let resourceExhausted = Code(rawValue: 8)
    public static let failedPrecondition = Code(rawValue: 9)
    public static let aborted = Code(rawValue: 10)
    public static let outOfRange = Code(rawValue: 11)
    public static let unimplemented = Code(rawValue: 12)
    public static let `internal` = Code(rawValue: 13)
    public static let unavailable = Code(rawValue: 14)
    public static let dataLoss = Code(rawValue: 15)
    public static let unauthenticated = Code(rawValue: 16)

    private static let names = [
      "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
      "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
      "Internal", "Unavailable", "DataLoss", "Unauthenticated",
    ]

    /// The name as Go prints it.
    public var description: String {
      Code.names.indices.contains(rawValue) ? Code.names[rawValue] : "Code(\(rawValue))"
    }
  }

  public var code: Code
  public var message: String
  /// What came in the trailers beside the status.
  public var trailers: GRPCMetadata
  /// True when the server certainly never saw the call, so that repeating it is safe.
  public internal(set) var isUnprocessed = false

  /// Makes a status.
  public init(_ code: Code, _ message: String = "", trailers: GRPCMetadata = [:]) {
    self.code = code
    self.message = message
    self.trailers = trailers
  }

  /// The text Go's `status.Error` prints; messages in events and conditions show it.
  public var description: String { "rpc error: code = \(code) desc = \(message)" }
}

extension GRPCStatus {
  /// The status an error maps to: itself, or Unknown with its text as in grpc-go.
  init(mapping error: any Error) {
    switch error {
    case let status as GRPCStatus: self = status
    case is CancellationError: self.init(.cancelled, "context canceled")
    default: self.init(.unknown, "\(error)")
    }
  }

  /// For answers that carry no grpc-status, made by something in between that speaks only HTTP.
  init(httpStatus: Int) {
    let code: Code =
      switch httpStatus {
      case 400: .internal
      case 401: .unauthenticated
      case 403: .permissionDenied
      case 404: .unimplemented
      case 429, 502, 503, 504: .unavailable
      default: .unknown
      }
    self.init(code, "unexpected HTTP status code received from server: \(httpStatus)")
  }

  /// For a stream the peer reset.
  init(resetCode: Int) {
    let code: Code =
      switch resetCode {
      case 0x7, 0xb0: .unavailable
      case 0x8: .cancelled
      case 0xb: .resourceExhausted
      case 0xc: .permissionDenied
      default: .internal
      }
    self.init(code, "stream terminated by RST_STREAM with error code: \(GRPCStatus.resetName(resetCode))")
    isUnprocessed = resetCode == 0x7
  }

  private static func resetName(_ code: Int) -> String {
    let names = [
      "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
      "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
      "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]
    return names.indices.contains(code) ? names[code] : "0x\(String(code, radix: 16))"
  }
}

/// The percent-encoding of grpc-message.
enum StatusMessage {
  static func encode(_ message: String) -> String {
    if message.utf8.allSatisfy({ $0 >= 0x20 && $0 <= 0x7e && $0 != 0x25 }) { return message }
    var out = ""
    for byte in message.utf8 {
      if byte >= 0x20 && byte <= 0x7e && byte != 0x25 {
        out.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let hex = String(byte, radix: 16, uppercase: true)
        out += hex.count == 1 ? "%0\(hex)" : "%\(hex)"
      }
    }
    return out
  }

  static func decode(_ text: String) -> String {
    let input = Array(text.utf8)
    guard input.contains(0x25) else { return text }
    var out: [UInt8] = []
    var index = 0
    while index < input.count {
      if input[index] == 0x25, index + 2 < input.count,
        let byte = UInt8(String(decoding: input[index + 1...index + 2], as: UTF8.self), radix: 16)
      {
        out.append(byte)
        index += 3
      } else {
        out.append(input[index])
        index += 1
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
