import API
import Client

/// Makes and deletes a controller's pods, and says so in events.
struct PodControl: Sendable {
  let client: APIClient
  let recorder: EventRecorder

  /// A pod made from a template for an owner. Its name is the server's choice.
  static func pod<Owner: APIObject>(from template: PodTemplateSpec, for owner: Owner) -> Pod {
    var pod = Pod()
    pod.metadata.generateName = owner.metadata.name + "-"
    pod.metadata.namespace = owner.metadata.namespace
    pod.metadata.labels = template.metadata.labels
    pod.metadata.annotations = template.metadata.annotations
    pod.metadata.finalizers = template.metadata.finalizers
    pod.metadata.ownerReferences = [.controller(of: owner)]
    pod.spec = template.spec
    return pod
  }

  /// Creates a pod; failures are told to the owner, unless the namespace is going away.
  @discardableResult
  func create<Owner: APIObject>(_ pod: Pod, for owner: Owner) async throws -> Pod {
    do {
      let made = try await client.create(pod)
      recorder.event(
        owner, type: "Normal", reason: "SuccessfulCreate", message: "Created pod: \(made.metadata.name)")
      return made
    } catch let error as StatusError {
      if !error.isNamespaceTerminating {
        recorder.event(owner, type: "Warning", reason: "FailedCreate", message: "Error creating: \(error.message)")
      }
      throw error
    }
  }

  /// Deletes a pod.
  func delete<Owner: APIObject>(_ pod: Pod, for owner: Owner) async throws {
    do {
      try await client.delete(Pod.self, namespace: pod.metadata.namespace, name: pod.metadata.name)
      recorder.event(
        owner, type: "Normal", reason: "SuccessfulDelete", message: "Deleted pod: \(pod.metadata.name)")
    } catch let error as StatusError {
      if !error.isNotFound {
        recorder.event(owner, type: "Warning", reason: "FailedDelete", message: "Error deleting: \(error.message)")
      }
      throw error
    }
  }
}

extension StatusError {
  /// Whether a create was refused because its namespace is being deleted.
  var isNamespaceTerminating: Bool {
    details?.causes.contains { $0.reason == "NamespaceTerminating" } ?? false
  }
}
