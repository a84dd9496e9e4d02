import API
import Client

/// What is to happen to the objects that a controller's selector may concern.
struct Claims<Object: APIObject>: Sendable {
  /// Owned, and still selected.
  var owned: [Object] = []
  /// Selected and without controller: to be taken.
  var adopt: [Object] = []
  /// Owned but no longer selected: to be let go.
  var release: [Object] = []

  /// Sorts objects by what an owner may do with them. `isDeleting` owners neither take nor let go; what is no member
  /// is let go like what the selector does not match.
  init(
    of objects: [Object], owner uid: String, selector: Labels.Selector, isDeleting: Bool,
    isMember: (Object) -> Bool = { _ in true }
  ) {
    for object in objects {
      let matches = selector.matches(object.metadata.labels) && isMember(object)
      if let controller = object.metadata.controllerOwner {
        guard controller.uid == uid else { continue }
        if matches {
          owned.append(object)
        } else if !isDeleting {
          release.append(object)
        }
      } else if matches, !isDeleting, object.metadata.deletionTimestamp == nil {
        adopt.append(object)
      }
    }
  }
}

/// Carries claims out.
struct Claimer<Owner: APIObject>: Sendable {
  let client: APIClient

  /// Takes and lets go; returns everything that is owned now.
  func carryOut<Object: APIObject>(_ claims: Claims<Object>, for owner: Owner) async throws -> [Object] {
    var owned = claims.owned
    if !claims.adopt.isEmpty {
      // The cache may show an owner that is being deleted, or one of the same name that came after it.
      let live = try await client.get(Owner.self, namespace: owner.metadata.namespace, name: owner.metadata.name)
      guard live.metadata.uid == owner.metadata.uid else {
        throw ClaimError(
          message: "original \(Owner.kind) \(owner.key) is gone: got uid \(live.metadata.uid), "
            + "wanted \(owner.metadata.uid)")
      }
      if live.metadata.deletionTimestamp != nil {
        throw ClaimError(message: "\(owner.key) has just been deleted")
      }
      for object in claims.adopt {
        if let adopted = try await adopt(object, owner) { owned.append(adopted) }
      }
    }
    for object in claims.release { try await release(object, owner) }
    return owned
  }

  private func adopt<Object: APIObject>(_ object: Object, _ owner: Owner) async throws -> Object? {
    let patch = JSONValue.object([
      "metadata": .object([
        "uid": .string(object.metadata.uid),
        "ownerReferences": .array([
          .object([
            "apiVersion": .string(Owner.apiVersion), "kind": .string(Owner.kind),
            "name": .string(owner.metadata.name), "uid": .string(owner.metadata.uid), "controller": .bool(true),
            "blockOwnerDeletion": .bool(true),
          ])
        ]),
      ])
    ])
    do {
      return try await client.patch(
        Object.self, namespace: object.metadata.namespace, name: object.metadata.name, .strategic(patch.encoded()))
    } catch let error as StatusError where error.isNotFound {
      return nil
    }
  }

  private func release<Object: APIObject>(_ object: Object, _ owner: Owner) async throws {
    let patch = JSONValue.object([
      "metadata": .object([
        "uid": .string(object.metadata.uid),
        "ownerReferences": .array([
          .object(["$patch": .string("delete"), "uid": .string(owner.metadata.uid)])
        ]),
      ])
    ])
    do {
      let _: Object = try await client.patch(
        Object.self, namespace: object.metadata.namespace, name: object.metadata.name, .strategic(patch.encoded()))
    } catch let error as StatusError where error.isNotFound || error.isInvalid {
      // Gone, or another object of that name by now: either way it is not ours any more.
    }
  }
}

/// The owner changed under the claim; the next pass sees it as it is.
struct ClaimError: Error, CustomStringConvertible {
  let message: String
  var description: String { message }
}
