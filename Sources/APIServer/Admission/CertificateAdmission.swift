import API
import APIMachinery
import APIMeta
import PKI

/// Who may approve, sign or attest for a signer is asked for the signer's name, and for all of its domain.
private func maySay(_ verb: String, _ signer: String, _ request: AdmissionRequest, _ registry: Registry) -> Bool {
  let domain = signer.prefix { $0 != "/" }
  return [signer, domain + "/*"].contains { name in
    registry.access.allows(
      request.user,
      AuthorizationAttributes(verb: verb, apiGroup: "certificates.k8s.io", resource: "signers", name: name))
  }
}

/// Approving and denying certificate requests is for those who may `approve` their signer.
struct CertificateApproval: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .update, request.subresource == "approval",
      let asked = request.old?.as(CertificateSigningRequest.self)
    else { return }
    let signer = asked.spec.signerName
    if maySay("approve", signer, request, registry) { return }
    throw request.forbidden(
      asked.metadata.name, "user not permitted to approve requests with signerName \(goQuoted(signer))")
  }
}

/// Giving out certificates is for those who may `sign` for the signer.
struct CertificateSigning: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .update, request.subresource == "status",
      let old = request.old?.as(CertificateSigningRequest.self), let new = object.as(CertificateSigningRequest.self),
      old.status.certificate != new.status.certificate || old.status.conditions != new.status.conditions
    else { return }
    let signer = old.spec.signerName
    if maySay("sign", signer, request, registry) { return }
    throw request.forbidden(
      old.metadata.name, "user not permitted to sign requests with signerName \(goQuoted(signer))")
  }
}

/// Trust bundles of a signer come from those who may `attest` for it.
struct ClusterTrustBundleAttest: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation != .delete, request.subresource.isEmpty,
      request.resource.info.resource == "clustertrustbundles",
      let signer = try object.tree()["spec"]?["signerName"]?.stringValue, !signer.isEmpty
    else { return }
    if request.operation == .update, let old = try request.old?.tree(), try old["spec"] == object.tree()["spec"] {
      return
    }
    if maySay("attest", signer, request, registry) { return }
    throw request.forbidden(
      object.metadata.name, "user not permitted to attest for signerName \(goQuoted(signer))")
  }
}

/// Nobody becomes the cluster's master by a certificate that the cluster signs.
struct CertificateSubjectRestriction: AdmissionPlugin {
  private static let signer = "kubernetes.io/kube-apiserver-client"

  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.operation == .create, request.subresource.isEmpty,
      let asked = object.as(CertificateSigningRequest.self), asked.spec.signerName == Self.signer,
      let parsed = try? SigningRequest(pem: String(decoding: asked.spec.request.bytes, as: UTF8.self))
    else { return }
    if parsed.organizations.contains(UserInfo.mastersGroup) {
      throw request.forbidden(
        asked.metadata.name, "use of \(Self.signer) signer with \(UserInfo.mastersGroup) group is not allowed")
    }
  }
}

/// A claim grows only where its class says that its volumes can.
struct PersistentVolumeClaimResize: AdmissionPlugin {
  func validate(_ object: LiveObject, _ request: AdmissionRequest, _ registry: Registry) throws {
    guard request.isCore("persistentvolumeclaims", .update), let claim = object.as(PersistentVolumeClaim.self),
      let old = request.old?.as(PersistentVolumeClaim.self),
      let wanted = claim.spec.resources.requests["storage"], let had = old.spec.resources.requests["storage"],
      wanted > had
    else { return }
    if old.status.phase != "Bound" {
      throw request.forbidden(claim.metadata.name, "Only bound persistent volume claims can be expanded")
    }
    let name =
      claim.metadata.annotations["volume.beta.kubernetes.io/storage-class"] ?? claim.spec.storageClassName ?? ""
    if !name.isEmpty, registry.object(StorageClass.self, name: name)?.allowVolumeExpansion == true { return }
    throw request.forbidden(
      claim.metadata.name,
      "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
    )
  }
}

/// A pod that is bound carries the zone and the region of its node (KEP-4742).
enum PodTopologyLabels {
  private static let keys = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"]

  static func label(_ pod: inout Pod, as node: Node?) {
    guard let node else { return }
    for key in keys { if let value = node.metadata.labels[key] { pod.metadata.labels[key] = value } }
  }
}
