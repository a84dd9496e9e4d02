import API
import APIMachinery
import Client
import Testing

@testable import APIServer

@Suite struct NodeAuthorizerTests {
  private let node = RequestUser(name: "system:node:n1", groups: [RequestUser.nodesGroup])

  private func asked(
    _ verb: String, _ resource: String, group: String = "", subresource: String = "", namespace: String = "",
    name: String = "", fields: String = ""
  ) -> AuthorizationAttributes {
    var attributes = AuthorizationAttributes(
      verb: verb, apiGroup: group, resource: resource, subresource: subresource, namespace: namespace, name: name)
    attributes.fieldSelector = fields
    return attributes
  }

  @Test func refusalsSayWhy() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let authorizer = NodeAuthorizer(registry: fixture.server.registry)
      func answer(_ attributes: AuthorizationAttributes) -> String {
        let answer = authorizer.authorize(node, attributes)
        return answer.decision == .allowed ? "yes" : answer.reason
      }
      let unrelated = "no relationship found between node 'n1' and this object"
      #expect(answer(asked("get", "secrets", namespace: "a", name: "s")) == unrelated)
      #expect(answer(asked("list", "secrets", namespace: "a")) == "No Object name found")
      #expect(answer(asked("list", "secrets")) == "can only read namespaced object of this type")
      #expect(
        answer(asked("delete", "configmaps", namespace: "a", name: "c")) == "can only read resources of this type")
      #expect(
        answer(asked("list", "persistentvolumeclaims", namespace: "a"))
          == "can only get individual resources of this type")
      #expect(answer(asked("get", "nodes", name: "n1")) == "yes")
      #expect(answer(asked("get", "nodes", name: "n2")) == "node 'n1' cannot read 'n2', only its own Node object")
      #expect(answer(asked("list", "nodes")) == "node 'n1' cannot read all nodes, only its own Node object")
      #expect(answer(asked("delete", "nodes", name: "n1")) == "")
      #expect(
        answer(asked("list", "pods")) == "can only list/watch pods with spec.nodeName field selector")
      #expect(answer(asked("watch", "pods", fields: "spec.nodeName=n1")) == "yes")
      #expect(
        answer(asked("watch", "pods", fields: "spec.nodeName=n2"))
          == "can only list/watch pods with spec.nodeName field selector")
      #expect(answer(asked("get", "pods", namespace: "a", name: "p")) == unrelated)
      #expect(answer(asked("update", "pods", namespace: "a", name: "p")) == "")
      #expect(
        answer(asked("get", "leases", group: "coordination.k8s.io", namespace: "kube-node-lease", name: "n2"))
          == "can only access node lease with the same name as the requesting node")
      #expect(
        answer(asked("list", "leases", group: "coordination.k8s.io", namespace: "kube-node-lease"))
          == "can only get, create, update, patch, or delete a node lease")
      #expect(
        answer(asked("create", "serviceaccounts", subresource: "token", namespace: "a", name: "x")) == unrelated)
    }
  }

  @Test func secretsOfVolumesComeWithTheClaim() async throws {
    try await ServerFixture.with(listening: false) { fixture in
      let admin = fixture.api(RequestUser(name: "admin", groups: [RequestUser.mastersGroup]))
      var account = ServiceAccount()
      account.metadata.name = "default"
      account.metadata.namespace = "default"
      _ = try? await admin.create(account)
      var volume = PersistentVolume()
      volume.metadata.name = "v"
      volume.spec.capacity = ["storage": try Quantity(parsing: "1Gi")]
      volume.spec.accessModes = ["ReadWriteOnce"]
      volume.spec.csi = CSIPersistentVolumeSource()
      volume.spec.csi?.driver = "d.example.com"
      volume.spec.csi?.volumeHandle = "h"
      volume.spec.csi?.nodePublishSecretRef = SecretReference()
      volume.spec.csi?.nodePublishSecretRef?.name = "s"
      volume.spec.csi?.nodePublishSecretRef?.namespace = "storage"
      volume.spec.claimRef = ObjectReference()
      volume.spec.claimRef?.namespace = "default"
      volume.spec.claimRef?.name = "c"
      _ = try await admin.create(volume)
      var claim = PersistentVolumeClaim()
      claim.metadata.namespace = "default"
      claim.metadata.name = "c"
      claim.spec.accessModes = ["ReadWriteOnce"]
      claim.spec.volumeName = "v"
      claim.spec.resources.requests = ["storage": try Quantity(parsing: "1Gi")]
      _ = try await admin.create(claim)
      let question = asked("get", "secrets", namespace: "storage", name: "s")
      #expect(!fixture.server.authorizer.allows(node, question))
      var pod = Pod()
      pod.metadata.namespace = "default"
      pod.metadata.name = "p"
      pod.spec.nodeName = "n1"
      var container = Container()
      container.name = "c"
      container.image = "i"
      pod.spec.containers = [container]
      var mounted = Volume()
      mounted.name = "v"
      mounted.persistentVolumeClaim = PersistentVolumeClaimVolumeSource()
      mounted.persistentVolumeClaim?.claimName = "c"
      pod.spec.volumes = [mounted]
      _ = try await admin.create(pod)
      #expect(fixture.server.authorizer.allows(node, question))
      #expect(fixture.server.authorizer.allows(node, asked("get", "persistentvolumes", name: "v")))
      #expect(fixture.server.authorizer.allows(node, asked("get", "pods", namespace: "default", name: "p")))
      #expect(!fixture.server.authorizer.allows(node, asked("get", "persistentvolumes", name: "other")))
    }
  }
}
