import API
import Client
import Testing

@Suite struct MemoryAPITests {
  private func deployment() -> Deployment {
    var deployment = Deployment()
    deployment.metadata.name = "web"
    deployment.metadata.namespace = "default"
    deployment.spec.replicas = 3
    deployment.spec.selector = LabelSelector { $0.matchLabels = ["app": "web"] }
    return deployment
  }

  @Test func generationFollowsTheSpecAndStatusIsApart() async throws {
    let client = MemoryAPI().client()
    var made = try await client.create(deployment())
    #expect(made.metadata.generation == 1)
    made.status.replicas = 9
    made.spec.replicas = 5
    var updated = try await client.update(made)
    #expect(updated.metadata.generation == 2)
    #expect(updated.status.replicas == 0)
    updated.status.replicas = 5
    updated.spec.replicas = 1
    let status = try await client.updateStatus(updated)
    #expect(status.status.replicas == 5)
    #expect(status.spec.replicas == 5)
    #expect(status.metadata.generation == 2)
  }

  @Test func aStaleUpdateIsAConflict() async throws {
    let client = MemoryAPI().client()
    let made = try await client.create(deployment())
    var first = made
    first.spec.replicas = 1
    try await client.update(first)
    var second = made
    second.spec.replicas = 2
    do {
      try await client.update(second)
      Issue.record("no conflict")
    } catch let error as StatusError {
      #expect(error.code == 409)
      #expect(error.reason == "Conflict")
    }
  }

  @Test func anUpdateThatChangesNothingMakesNoVersion() async throws {
    let client = MemoryAPI().client()
    let made = try await client.create(deployment())
    #expect(try await client.update(made).metadata.resourceVersion == made.metadata.resourceVersion)
  }

  @Test func finalizersHoldADeletedObject() async throws {
    let api = MemoryAPI()
    let client = api.client()
    try await client.create(deployment())
    try await client.delete(Deployment.self, namespace: "default", name: "web", options: .foreground)
    var held = try await client.get(Deployment.self, namespace: "default", name: "web")
    #expect(held.metadata.deletionTimestamp != nil)
    #expect(held.metadata.finalizers == ["foregroundDeletion"])
    held.metadata.finalizers = []
    try await client.update(held)
    #expect(api.object(Deployment.self, namespace: "default", name: "web") == nil)
  }

  @Test func aBoundPodIsDeletedGracefully() async throws {
    let api = MemoryAPI()
    let client = api.client()
    var pod = Pod()
    pod.metadata.generateName = "web-"
    pod.metadata.namespace = "default"
    let made = try await client.create(pod)
    #expect(made.metadata.name.hasPrefix("web-"))
    #expect(made.metadata.name.count == 9)
    try await client.bind(pod: made.key, to: "node-1")
    try await client.delete(Pod.self, namespace: "default", name: made.metadata.name)
    let dying = try await client.get(Pod.self, namespace: "default", name: made.metadata.name)
    #expect(dying.metadata.deletionGracePeriodSeconds == 30)
    #expect(dying.spec.nodeName == "node-1")
    try await client.delete(
      Pod.self, namespace: "default", name: made.metadata.name, options: .grace(seconds: 0))
    #expect(api.objects(Pod.self).isEmpty)
  }

  @Test func patchesMerge() async throws {
    let client = MemoryAPI().client()
    try await client.create(deployment())
    let merged = try await client.patch(
      Deployment.self, namespace: "default", name: "web", .merge(Array(#"{"spec":{"replicas":7}}"#.utf8)))
    #expect(merged.spec.replicas == 7)
    let labeled = try await client.patch(
      Deployment.self, namespace: "default", name: "web",
      .strategic(Array(#"{"metadata":{"labels":{"a":"b"}}}"#.utf8)))
    #expect(labeled.metadata.labels == ["a": "b"])
  }

  @Test func selectsByLabelsAndFields() async throws {
    let api = MemoryAPI()
    for (name, node) in [("a", "n1"), ("b", "n2")] {
      var pod = Pod()
      pod.metadata.name = name
      pod.metadata.namespace = "default"
      pod.metadata.labels = ["name": name]
      pod.spec.nodeName = node
      try api.seed(pod)
    }
    let client = api.client()
    let byField = try await client.list(Pod.self, options: ListOptions(fieldSelector: "spec.nodeName=n1"))
    #expect(byField.items.map(\.metadata.name) == ["a"])
    let byLabel = try await client.list(Pod.self, options: ListOptions(labelSelector: "name in (b,c)"))
    #expect(byLabel.items.map(\.metadata.name) == ["b"])
  }

  @Test func scalesThroughTheSubresource() async throws {
    let client = MemoryAPI().client()
    try await client.create(deployment())
    var scale = try await client.getScale(Deployment.self, namespace: "default", name: "web")
    #expect(scale.spec.replicas == 3)
    #expect(scale.status.selector == "app=web")
    scale.spec.replicas = 1
    try await client.updateScale(Deployment.self, scale)
    #expect(try await client.get(Deployment.self, namespace: "default", name: "web").spec.replicas == 1)
  }
}
