import Foundation
import Testing

@testable import CloudControllerManager

/// The published test suite of version 4 signatures.
@Suite struct AWSSigV4Tests {
  static let credentials = AWSCredentials(
    accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
  static let date = Date(timeIntervalSince1970: 1_440_938_160)  // 20150830T123600Z

  struct Vector: CustomTestStringConvertible {
    var name: String
    var request: SigV4.Request
    var token: String?
    var service = "service"
    var signature: String
    var testDescription: String { name }
  }

  static let host = ("Host", "example.amazonaws.com")
  static let vectors: [Vector] = [
    Vector(
      name: "get-vanilla", request: .init(method: "GET", path: "/", headers: [host]),
      signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    Vector(
      name: "get-vanilla-query-order-key-case",
      request: .init(
        method: "GET", path: "/", query: [("Param2", "value2"), ("Param1", "value1")], headers: [host]),
      signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    Vector(
      name: "post-vanilla", request: .init(method: "POST", path: "/", headers: [host]),
      signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    Vector(
      name: "get-header-value-trim",
      request: .init(
        method: "GET", path: "/", headers: [host, ("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")]),
      signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    Vector(
      name: "post-x-www-form-urlencoded",
      request: .init(
        method: "POST", path: "/", headers: [host, ("Content-Type", "application/x-www-form-urlencoded")],
        body: Array("Param1=value1".utf8)),
      signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    Vector(
      name: "get-utf8", request: .init(method: "GET", path: "/\u{1234}", headers: [host]),
      signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    Vector(
      name: "get-unreserved",
      request: .init(
        method: "GET", path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", headers: [host]),
      signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    Vector(
      name: "get-relative", request: .init(method: "GET", path: "/example/..", headers: [host]),
      signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    Vector(
      name: "post-sts-header-before", request: .init(method: "POST", path: "/", headers: [host]),
      token:
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
      signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    Vector(
      name: "IAM ListUsers",
      request: .init(
        method: "GET", path: "/", query: [("Version", "2010-05-08"), ("Action", "ListUsers")],
        headers: [
          ("Host", "iam.amazonaws.com"), ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ]),
      service: "iam", signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
  ]

  @Test(arguments: vectors) func signs(_ vector: Vector) throws {
    var credentials = Self.credentials
    credentials.sessionToken = vector.token
    let signer = SigV4(credentials: credentials, region: "us-east-1", service: vector.service)
    let added = signer.headers(for: vector.request, at: Self.date)
    let authorization = try #require(added.first { $0.0 == "authorization" }?.1)
    #expect(authorization.hasSuffix("Signature=\(vector.signature)"))
    #expect(
      authorization.hasPrefix(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/\(vector.service)/aws4_request, SignedHeaders="))
    #expect(added.first { $0.0 == "x-amz-security-token" }?.1 == vector.token)
  }

  @Test func times() {
    #expect(SigV4.stamp(Self.date) == "20150830T123600Z")
    #expect(Timestamp.format(Date(timeIntervalSince1970: 951_782_399)) == "2000-02-28T23:59:59Z")
    #expect(Timestamp.format(Date(timeIntervalSince1970: 951_782_400)) == "2000-02-29T00:00:00Z")
    #expect(Timestamp.parse("2015-08-30T12:36:00Z") == Self.date)
    #expect(Timestamp.parse("2015-08-30T12:36:00.123Z") == Self.date)
    #expect(Timestamp.parseHTTP("Sun, 30 Aug 2015 12:36:00 GMT") == Self.date)
    #expect(Timestamp.parse("soon") == nil)
    for day in stride(from: -200_000, to: 200_000, by: 997) {
      let date = Date(timeIntervalSince1970: Double(day) * 86_400 + 3661)
      #expect(Timestamp.parse(Timestamp.format(date)) == date)
    }
  }
}
