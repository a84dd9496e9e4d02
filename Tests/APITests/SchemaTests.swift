import API
import Testing

@Suite struct SchemaTests {
  @Test func tableHoldsAllTypes() throws {
    #expect(builtInSchema.types.count == 759)
    for type in builtInSchema.types {
      for field in type.fields { expectKnown(field.type, in: "\(type.name).\(field.name)") }
    }
  }

  private func expectKnown(_ type: SchemaFieldType, in place: String) {
    switch type {
    case .object(let name): #expect(builtInSchema.type(named: name) != nil, "\(place): \(name)")
    case .list(let element), .map(let element): expectKnown(element, in: place)
    default: break
    }
  }

  @Test func fieldsCarryTheirMarks() throws {
    let spec = try #require(builtInSchema.type(named: "io.k8s.api.core.v1.PodSpec"))
    let containers = try #require(spec.field("containers"))
    #expect(containers.type == .list(.object("io.k8s.api.core.v1.Container")))
    #expect(containers.listType == "map" && containers.listMapKeys == ["name"] && containers.patchMergeKey == "name")
    #expect(containers.required && containers.always && !containers.ptr && containers.protoNumber == 2)
    let constraints = try #require(spec.field("topologySpreadConstraints"))
    #expect(constraints.listMapKeys == ["topologyKey", "whenUnsatisfiable"])
    #expect(spec.field("volumes")?.patchStrategy == "merge,retainKeys")
    let beta = GroupVersionKind(group: "resource.k8s.io", version: "v1beta1", kind: "ResourceClaim")
    #expect(builtInSchema.schema(for: beta)?.field("spec") != nil)
    let port = try #require(builtInSchema.type(named: "io.k8s.api.core.v1.ContainerPort"))
    #expect(port.field("protocol")?.defaultJSON == "\"TCP\"")
    #expect(port.field("protocol")?.enumValues == ["SCTP", "TCP", "UDP"])
  }

  @Test func resourcesAndColumns() throws {
    let pods = try #require(builtInResources.first { $0.group.isEmpty && $0.resource == "pods" })
    #expect(pods.kind == "Pod" && pods.namespaced && pods.shortNames == ["po"] && pods.categories == ["all"])
    #expect(pods.subresource("eviction")?.group == "policy")
    #expect(builtInGroups.first?.name == "" && builtInGroups.count == 22)
    #expect(
      tableColumns(group: "", kind: "Pod").prefix(5).map(\.name) == ["Name", "Ready", "Status", "Restarts", "Age"])
    #expect(tableColumns(group: "none", kind: "None").map(\.name) == ["Name", "Created At"])
  }
}
