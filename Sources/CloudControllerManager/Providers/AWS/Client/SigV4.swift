import Crypto
import FoundationEssentials
import HTTP

/// Signs requests with version 4 of Amazon's signatures, in the `Authorization` header.
struct SigV4: Sendable {
  var credentials: AWSCredentials
  var region: String
  var service: String

  /// What a signature covers.
  struct Request {
    var method: String
    /// The path as sent.
    var path: String
    /// The decoded parameters of the query.
    var query: [(String, String)] = []
    /// Every header to sign, `host` among them.
    var headers: [(String, String)]
    var body: [UInt8] = []
  }

  /// The headers to add to the request: the date, the session's token and the signature.
  func headers(for request: Request, at date: Date) -> [(String, String)] {
    let stamp = Self.stamp(date)
    var added = [("x-amz-date", stamp)]
    if let token = credentials.sessionToken { added.append(("x-amz-security-token", token)) }
    let signed = Self.canonicalHeaders(request.headers + added)
    let names = signed.map(\.0).joined(separator: ";")
    let canonical = Self.canonicalRequest(request, headers: signed, names: names)
    let day = String(stamp.prefix(8))
    let scope = "\(day)/\(region)/\(service)/aws4_request"
    let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(Self.hex(SHA256.hash(data: Data(canonical.utf8))))"
    var key = SymmetricKey(data: Data("AWS4\(credentials.secretAccessKey)".utf8))
    for part in [day, region, service, "aws4_request"] {
      key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Data(part.utf8), using: key))
    }
    let signature = Self.hex(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
    added.append(
      (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
      ))
    return added
  }

  /// Lower-case names in order, values with the space around them gone and runs of it made one.
  static func canonicalHeaders(_ headers: [(String, String)]) -> [(String, String)] {
    var values: [String: [String]] = [:]
    for (name, value) in headers {
      let words = value.split(whereSeparator: { $0 == " " || $0 == "\t" })
      values[name.lowercased(), default: []].append(words.joined(separator: " "))
    }
    return values.sorted { $0.key < $1.key }.map { ($0.key, $0.value.joined(separator: ",")) }
  }

  static func canonicalRequest(_ request: Request, headers: [(String, String)], names: String) -> String {
    let query = request.query.map { (percentEncoded($0.0), percentEncoded($0.1)) }
      .sorted { $0 < $1 }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    let lines = headers.map { "\($0.0):\($0.1)\n" }.joined()
    // Each part of the path is encoded once more than it is sent (S3, which is the exception, is not spoken here).
    let path = percentEncoded(normalized(request.path), keepingSlash: true)
    return "\(request.method)\n\(path)\n\(query)\n\(lines)\n\(names)\n\(hex(SHA256.hash(data: request.body)))"
  }

  /// The path without `.`, `..` and empty parts.
  static func normalized(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    guard !parts.isEmpty else { return "/" }
    return "/" + parts.joined(separator: "/") + (path.hasSuffix("/") ? "/" : "")
  }

  static func hex(_ bytes: some Sequence<UInt8>) -> String {
    var out: [UInt8] = []
    let digits = Array("0123456789abcdef".utf8)
    for byte in bytes { out += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
    return String(decoding: out, as: UTF8.self)
  }

  /// `20150830T123600Z`.
  static func stamp(_ date: Date) -> String {
    String(Timestamp.format(date).filter { $0 != "-" && $0 != ":" })
  }
}

/// The one form of time that the services use: UTC in whole seconds, `2015-08-30T12:36:00Z`.
enum Timestamp {
  static func format(_ date: Date) -> String {
    let seconds = Int(date.timeIntervalSince1970.rounded(.down))
    let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let rest = seconds - days * 86_400
    let (year, month, day) = civil(days)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(year)-\(two(month))-\(two(day))T\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))Z"
  }

  /// Reads the form, with or without a fraction of a second.
  static func parse(_ text: String) -> Date? {
    let parts = text.split(whereSeparator: { "-:TZ.+ ".contains($0) }).prefix(6).compactMap { Int($0) }
    guard parts.count == 6, (1...12).contains(parts[1]), (1...31).contains(parts[2]) else { return nil }
    let seconds = days(parts[0], parts[1], parts[2]) * 86_400 + parts[3] * 3600 + parts[4] * 60 + parts[5]
    return Date(timeIntervalSince1970: Double(seconds))
  }

  /// Reads the form of an HTTP `Date` header.
  static func parseHTTP(_ text: String) -> Date? {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let parts = text.split(whereSeparator: { ", :".contains($0) })
    guard parts.count >= 7, let day = Int(parts[1]), let month = months.firstIndex(of: String(parts[2])),
      let year = Int(parts[3]), let hour = Int(parts[4]), let minute = Int(parts[5]), let second = Int(parts[6])
    else { return nil }
    let seconds = days(year, month + 1, day) * 86_400 + hour * 3600 + minute * 60 + second
    return Date(timeIntervalSince1970: Double(seconds))
  }

  /// Days since 1970 of a date of the Gregorian calendar.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let y = month <= 2 ? year - 1 : year
    let era = y / 400
    let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let yearOfEra = y - era * 400
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + ofYear - 719_468
  }

  private static func civil(_ days: Int) -> (Int, Int, Int) {
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let ofEra = z - era * 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * ofYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * shifted + 2) / 5 + 1)
  }
}
