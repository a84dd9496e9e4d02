import API
import APIMachinery
import Testing

@testable import APIServer

@Suite struct RegistryServiceTests {
  private let services = "/api/v1/namespaces/default/services"

  @Test func addressesAreAllocatedAndReleased() async throws {
    var configuration = RegistryConfiguration()
    configuration.serviceClusterIPRange = "10.7.0.0/29"
    try await RegistryHarness.with(configuration) { harness in
      let own = try await harness.call("GET", services + "/kubernetes").json()
      #expect(own["spec"]?["clusterIP"] == "10.7.0.1")
      // Six usable addresses, one of them is the server's own.
      var taken: Set<String> = ["10.7.0.1"]
      for index in 0..<5 {
        let made = try await harness.create(
          services, #"{"metadata":{"name":"s\#(index)"},"spec":{"ports":[{"port":80}]}}"#)
        taken.insert(made["spec"]?["clusterIP"]?.stringValue ?? "")
      }
      #expect(taken.count == 6)
      let full = await harness.call("POST", services, #"{"metadata":{"name":"x"},"spec":{"ports":[{"port":80}]}}"#)
      #expect(full.status == 422)
      let freed = try await harness.call("GET", services + "/s3").json()["spec"]?["clusterIP"]?.stringValue ?? ""
      _ = await harness.call("DELETE", services + "/s3")
      let again = try await harness.create(
        services, #"{"metadata":{"name":"x"},"spec":{"clusterIP":"\#(freed)","ports":[{"port":80}]}}"#)
      #expect(again["spec"]?["clusterIPs"] == .array([.string(freed)]))
      let twice = await harness.call(
        "POST", services, #"{"metadata":{"name":"y"},"spec":{"clusterIP":"\#(freed)","ports":[{"port":80}]}}"#)
      #expect(twice.status == 422)
      #expect(twice.message.hasSuffix("failed to allocate IP \(freed): provided IP is already allocated"))
    }
  }

  @Test func nodePortsAreAllocatedInTheirRange() async throws {
    try await RegistryHarness.with { harness in
      let made = try await harness.create(
        services, #"{"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80,"protocol":"TCP"}]}}"#)
      let port = try #require(made["spec"]?["ports"]?.arrayValue?.first?["nodePort"]?.intValue)
      #expect((30000...32767).contains(port))
      let taken = await harness.call(
        "POST", services,
        #"{"metadata":{"name":"t"},"spec":{"type":"NodePort","ports":[{"port":80,"protocol":"TCP","nodePort":\#(port)}]}}"#
      )
      #expect(taken.status == 422)
      #expect(
        taken.message == "Service \"t\" is invalid: spec.ports[0].nodePort: Invalid value: \(port): "
          + "provided port is already allocated")
      // Leaving allocated values out keeps them.
      let kept = try await harness.call(
        "PUT", services + "/s",
        #"{"metadata":{"name":"s"},"spec":{"type":"NodePort","selector":{"a":"b"},"ports":[{"port":80,"protocol":"TCP"}]}}"#
      )
      .json()
      #expect(kept["spec"]?["ports"]?.arrayValue?.first?["nodePort"]?.intValue == port)
      #expect(kept["spec"]?["clusterIP"] == made["spec"]?["clusterIP"])
    }
  }

  @Test func headlessAndExternalNamesHaveNone() async throws {
    try await RegistryHarness.with { harness in
      let headless = try await harness.create(
        services,
        #"{"metadata":{"name":"h"},"spec":{"clusterIP":"None","selector":{"a":"b"},"ports":[{"port":80}]}}"#)
      #expect(headless["spec"]?["clusterIP"] == "None")
      #expect(headless["spec"]?["clusterIPs"] == ["None"])
      #expect(headless["spec"]?["ipFamilyPolicy"] == "SingleStack")
      let external = try await harness.create(
        services, #"{"metadata":{"name":"e"},"spec":{"type":"ExternalName","externalName":"example.com"}}"#)
      #expect(external["spec"]?["clusterIP"] == nil)
    }
  }
}
