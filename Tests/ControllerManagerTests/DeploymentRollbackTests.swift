import API
import Testing

@testable import ControllerManager

@Suite struct DeploymentRollbackTests {
  private func set(_ revision: Int, image: String) -> ReplicaSet {
    var set = makeReplicaSet(name: "web-\(revision)")
    set.spec.template = template(image: image)
    set.spec.template.metadata.labels["pod-template-hash"] = "h\(revision)"
    set.metadata.annotations = ["deployment.kubernetes.io/revision": String(revision), "note": image]
    return set
  }

  private func wish(_ revision: String) -> DeploymentRollback? {
    var deployment = makeDeployment(image: "web:3")
    deployment.metadata.annotations = ["deprecated.deployment.rollback.to": revision, "note": "web:3", "more": "x"]
    return DeploymentRollback(deployment)
  }

  @Test(arguments: [("0", "web:2"), ("1", "web:1")])
  func theTemplateComesBack(revision: String, image: String) {
    let sets = [set(1, image: "web:1"), set(2, image: "web:2"), set(3, image: "web:3")]
    let result = wish(revision)?.carriedOut(sets)
    #expect(result?.0.spec.template == template(image: image))
    #expect(result?.0.metadata.annotations == ["note": image])
    #expect(result?.1.reason == "DeploymentRollback")
  }

  @Test(arguments: [
    ("7", "DeploymentRollbackRevisionNotFound"), ("3", "DeploymentRollbackTemplateUnchanged"),
  ])
  func aWishThatCannotBeMetIsForgotten(revision: String, reason: String) {
    let result = wish(revision)?.carriedOut([set(3, image: "web:3")])
    #expect(result?.1.reason == reason && result?.1.type == "Warning")
    #expect(result?.0.metadata.annotations["deprecated.deployment.rollback.to"] == nil)
    #expect(result?.0.spec.template == template(image: "web:3"))
  }

  @Test func noWishNoRollback() { #expect(wish("x") == nil && DeploymentRollback(makeDeployment()) == nil) }
}
