import APIMachinery
import Testing

@Suite struct TypesTests {
  @Test(arguments: [
    ("0", "0"), ("1000m", "1"), ("0.5", "500m"), ("1024Mi", "1Gi"), ("1500Mi", "1500Mi"), ("0.5Gi", "512Mi"),
    ("1.5Gi", "1536Mi"), ("100", "100"), ("1000", "1k"), ("1500", "1500"), ("12e6", "12e6"), ("1e3", "1e3"),
    ("12000e3", "12e6"), ("1E", "1E"), ("-1.5", "-1500m"), ("+5", "5"), ("0.1n", "1n"), ("1n", "1n"), ("1u", "1u"),
    ("512Ki", "512Ki"), ("512", "512"), ("1023Ki", "1023Ki"), ("0.5Ki", "512"), ("1.1Ki", "1126400m"),
    ("9223372036854775807", "9223372036854775807"), (".5", "500m"), ("5.", "5"), ("100E", "100E"),
    ("8Ei", "9223372036854775807"),
  ])
  func quantityIsCanonical(_ source: String, _ expected: String) throws {
    #expect(try Quantity(parsing: source).description == expected)
  }

  @Test(arguments: ["", "m", "1.5.5", "1 Gi", "abc", "1KiB", "--1", "1ki", "1e", "1K"])
  func badQuantityIsRefused(_ source: String) {
    #expect(throws: (any Error).self) { try Quantity(parsing: source) }
  }

  @Test func quantityAmounts() throws {
    #expect(try Quantity(parsing: "1500m").value == 2)
    #expect(try Quantity(parsing: "1500m").milliValue == 1500)
    #expect(try Quantity(parsing: "1Gi").value == 1 << 30)
    #expect(try Quantity(parsing: "1u").milliValue == 1)
    #expect(try Quantity(parsing: "1Gi") + Quantity(parsing: "1Gi") == Quantity(parsing: "2Gi"))
    #expect(try (Quantity() + Quantity(parsing: "512Mi") + Quantity(parsing: "512Mi")).description == "1Gi")
    #expect(try (Quantity(parsing: "1") - Quantity(parsing: "1500m")).description == "-500m")
    #expect(try Quantity(parsing: "1Ki") < Quantity(parsing: "1025"))
    #expect(try Quantity.decode(Array("1.5".utf8)).description == "1500m")
    #expect(try Quantity.decode(Array(#""2Gi""#.utf8)).encoded() == Array(#""2Gi""#.utf8))
  }

  @Test(arguments: [
    ("2024-02-29T23:59:59Z", Int64(1_709_251_199)), ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59Z", -1),
    ("2024-01-01T02:00:00+02:00", 1_704_067_200), ("2000-03-01T00:00:00.5Z", 951_868_800),
    ("0001-01-01T00:00:00Z", -62_135_596_800),
  ])
  func timeParses(_ source: String, _ seconds: Int64) throws {
    let time = try #require(Time(rfc3339: source))
    #expect(time.seconds == seconds)
    #expect(Time(rfc3339: time.description) == time)
  }

  @Test(arguments: ["2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00", "x"])
  func badTimeIsRefused(_ source: String) { #expect(Time(rfc3339: source) == nil) }

  @Test func timesInJSON() throws {
    #expect(Time().encoded() == Array("null".utf8))
    #expect(try Time.decode(Array("null".utf8)).isZero)
    #expect(Time(seconds: 0).encoded() == Array(#""1970-01-01T00:00:00Z""#.utf8))
    let micro = try #require(MicroTime(rfc3339: "2024-01-01T00:00:00.123456789Z"))
    #expect(micro.description == "2024-01-01T00:00:00.123456Z")
  }

  @Test(arguments: [
    ("1h2m3s", "1h2m3s"), ("90s", "1m30s"), ("1.5h", "1h30m0s"), ("300ms", "300ms"), ("0", "0s"), ("-2m", "-2m0s"),
    ("1.5s", "1.5s"), ("10us", "10µs"), ("1h0.25s", "1h0m0.25s"), ("168h", "168h0m0s"),
  ])
  func durations(_ source: String, _ expected: String) throws {
    #expect(try #require(GoDuration(parsing: source)).description == expected)
  }

  @Test(arguments: ["", "1", "h", "1x", "s1", "9999999999h"])
  func badDurations(_ source: String) { #expect(GoDuration(parsing: source) == nil) }

  @Test func base64() throws {
    for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
      #expect(Base64Bytes(Array(plain.utf8)).base64 == coded)
      #expect(Base64Bytes(base64: coded)?.string == plain)
    }
    #expect(Base64Bytes(base64: "Zm9v\nYg==")?.string == "foob")
    for bad in ["Z", "Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9v!"] { #expect(Base64Bytes(base64: bad) == nil) }
  }

  @Test func intOrString() throws {
    #expect(try IntOrString.decode(Array("5".utf8)) == .int(5))
    #expect(IntOrString("25%").scaled(total: 10, roundUp: true) == 3)
    #expect(IntOrString("25%").scaled(total: 10, roundUp: false) == 2)
    #expect(IntOrString("http").scaled(total: 10, roundUp: false) == nil)
  }

  @Test func groupVersions() {
    #expect(GroupVersion(apiVersion: "apps/v1") == GroupVersion(group: "apps", version: "v1"))
    #expect(GroupVersionKind(apiVersion: "v1", kind: "Pod").description == "v1, Kind=Pod")
    #expect(GroupResource(group: "apps", resource: "deployments").description == "deployments.apps")
  }
}
