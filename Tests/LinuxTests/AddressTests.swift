import Testing

@testable import Linux

@Suite struct AddressTests {
  @Test(arguments: ["10.244.1.2", "::1", "fd00::10", "255.255.255.255"])
  func writtenAsRead(_ text: String) throws {
    #expect(try #require(NetworkAddress(text)).description == text)
  }

  @Test(arguments: ["", "10.1", "10.1.1.256", "x", "fe80::1%eth0"])
  func othersAreRefused(_ text: String) {
    #expect(NetworkAddress(text) == nil)
  }

  @Test func aRangeHoldsItsOwn() throws {
    let range = try #require(IPPrefix("10.244.5.7/20"))
    #expect(range.description == "10.244.0.0/20")
    #expect(range.contains(try #require(NetworkAddress("10.244.15.255"))))
    #expect(!range.contains(try #require(NetworkAddress("10.244.16.0"))))
    #expect(!range.contains(try #require(NetworkAddress("::1"))))
    #expect(range.contains(try #require(IPPrefix("10.244.3.0/24"))))
    #expect(!range.contains(try #require(IPPrefix("10.244.0.0/16"))))
    #expect(IPPrefix("10.0.0.0/33") == nil)
  }

  @Test func ordering() throws {
    let sorted = ["10.0.0.2", "::1", "10.0.0.1"].compactMap { NetworkAddress($0) }.sorted().map(\.description)
    #expect(sorted == ["10.0.0.1", "10.0.0.2", "::1"])
  }

  @Test func linkLayerAddresses() throws {
    #expect(try #require(MACAddress("02:0a:ff:00:01:10")).description == "02:0a:ff:00:01:10")
    #expect(MACAddress("02:0a:ff:00:01") == nil)
    #expect(MACAddress("02:0a:ff:00:01:100") == nil)
  }
}
