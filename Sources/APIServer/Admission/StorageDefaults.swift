import API
import APIMachinery

/// Claims without a class get the default one.
struct DefaultStorageClass: AdmissionPlugin {
  static let annotations = [
    "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class",
  ]

  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("persistentvolumeclaims", .create), var claim = object.as(PersistentVolumeClaim.self),
      claim.spec.storageClassName == nil,
      claim.metadata.annotations["volume.beta.kubernetes.io/storage-class"] == nil
    else { return }
    let defaults = registry.list(StorageClass.self).filter { item in
      Self.annotations.contains { item.metadata.annotations[$0] == "true" }
    }
    // The newest wins, then the first by name.
    let chosen = defaults.max { a, b in
      let (left, right) = (a.metadata.creationTimestamp, b.metadata.creationTimestamp)
      return left == right ? a.metadata.name > b.metadata.name : left < right
    }
    guard let chosen else { return }
    claim.spec.storageClassName = chosen.metadata.name
    object = .typed(claim)
  }
}

/// Ingresses without a class get the default one.
struct DefaultIngressClass: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isFor("networking.k8s.io", "ingresses", .create), var ingress = object.as(Ingress.self),
      ingress.spec.ingressClassName == nil,
      ingress.metadata.annotations["kubernetes.io/ingress.class"] == nil
    else { return }
    let defaults = registry.list(IngressClass.self).filter {
      $0.metadata.annotations["ingressclass.kubernetes.io/is-default-class"] == "true"
    }
    let chosen = defaults.max { a, b in
      let (left, right) = (a.metadata.creationTimestamp, b.metadata.creationTimestamp)
      return left == right ? a.metadata.name > b.metadata.name : left < right
    }
    guard let chosen else { return }
    ingress.spec.ingressClassName = chosen.metadata.name
    object = .typed(ingress)
  }
}

/// Claims and volumes in use survive their deletion until nobody uses them.
struct StorageObjectInUseProtection: AdmissionPlugin {
  func mutate(_ object: inout LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    let finalizer: String
    if request.isCore("persistentvolumeclaims", .create) {
      finalizer = "kubernetes.io/pvc-protection"
    } else if request.isCore("persistentvolumes", .create) {
      finalizer = "kubernetes.io/pv-protection"
    } else {
      return
    }
    if !object.metadata.finalizers.contains(finalizer) { object.metadata.finalizers.append(finalizer) }
  }
}
