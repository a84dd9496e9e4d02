public import APICore
public import APIMeta

extension ObjectMeta {
  /// The owner that manages the object; at most one does.
  public var controllerOwner: OwnerReference? { ownerReferences.first { $0.controller == true } }

  /// Whether the object of that UID manages this one.
  public func isControlled(by uid: String) -> Bool { controllerOwner?.uid == uid }

  /// Whether deletion has been asked for.
  public var isBeingDeleted: Bool { deletionTimestamp != nil }
}

extension OwnerReference {
  /// A reference that makes `owner` the controller and blocks its foreground deletion.
  public static func controller<T: APIObject>(of owner: T) -> OwnerReference {
    var reference = OwnerReference()
    reference.apiVersion = T.apiVersion
    reference.kind = T.kind
    reference.name = owner.metadata.name
    reference.uid = owner.metadata.uid
    reference.controller = true
    reference.blockOwnerDeletion = true
    return reference
  }
}

extension ObjectReference {
  /// A reference to an object, as events use it.
  public init<T: APIObject>(of object: T) {
    self.init()
    apiVersion = T.apiVersion
    kind = T.kind
    namespace = object.metadata.namespace
    name = object.metadata.name
    uid = object.metadata.uid
    resourceVersion = object.metadata.resourceVersion
  }
}
