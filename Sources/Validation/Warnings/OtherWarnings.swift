import API

private let classAnnotation = "volume.beta.kubernetes.io/storage-class"
private let classText = #"deprecated since v1.8; use "storageClassName" attribute instead"#

extension Notes {
  /// Kinds without pods in them.
  mutating func others(_ object: any APIObject, _ old: (any APIObject)?) {
    let path = FieldPath("spec")
    switch object {
    case let service as Service: self.service(service)
    case let claim as PersistentVolumeClaim:
      annotation(classAnnotation, claim.metadata, classText)
      self.claim(claim.spec, path)
    case let volume as PersistentVolume: persistentVolume(volume)
    case let storage as StorageClass:
      for (i, term) in storage.allowedTopologies.enumerated() {
        for (j, expression) in term.matchLabelExpressions.enumerated() {
          guard let text = deprecatedLabels[expression.key] else { continue }
          let place = FieldPath("allowedTopologies").index(i).child("matchLabelExpressions").index(j)
          add(place.child("key"), "\(expression.key) is \(text)")
        }
      }
    case let capacity as CSIStorageCapacity:
      if let topology = capacity.nodeTopology { nodeLabels(topology, FieldPath("nodeTopology")) }
    case let runtime as RuntimeClass:
      for key in (runtime.scheduling?.nodeSelector ?? [:]).keys.sorted() {
        if let text = deprecatedLabels[key] { add(FieldPath("scheduling").child("nodeSelector"), text) }
      }
    case let node as Node:
      if node.spec.configSource != nil {
        add(path.child("configSource"), "the feature is no longer supported, and the field is ignored")
      }
      if !node.spec.externalID.isEmpty {
        add(path.child("externalID"), "this field is deprecated, and is unused by Kubernetes")
      }
      for (i, block) in node.spec.podCIDRs.enumerated() { self.block(block, path.child("podCIDRs").index(i)) }
    case let ingress as Ingress:
      let key = "kubernetes.io/ingress.class"
      if old == nil, ingress.metadata.annotations[key] != nil {
        add("annotation \(goQuoted(key)) is deprecated, please use 'spec.ingressClassName' instead")
      }
    case let account as ServiceAccount:
      let key = "kubernetes.io/enforce-mountable-secrets"
      if old?.metadata.annotations[key] == nil {
        annotation(
          key, account.metadata,
          "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets")
      }
    case let policy as NetworkPolicy: networkPolicy(policy)
    case let slice as EndpointSlice: endpointSlice(slice)
    case let endpoints as Endpoints: self.endpoints(endpoints)
    default: break
    }
  }

  private mutating func annotation(_ key: String, _ meta: ObjectMeta, _ text: String) {
    if meta.annotations[key] != nil { add(FieldPath("metadata").child("annotations").key(key), text) }
  }

  private mutating func service(_ service: Service) {
    let (spec, path) = (service.spec, FieldPath("spec"))
    let hints = "service.kubernetes.io/topology-aware-hints"
    if service.metadata.annotations[hints] != nil {
      add("annotation \(hints) is deprecated, please use service.kubernetes.io/topology-mode instead")
    }
    let isHeadless = spec.type == "ClusterIP" && spec.clusterIP == "None"
    if !spec.clusterIP.isEmpty, spec.clusterIP != "None" {
      for (i, ip) in spec.clusterIPs.enumerated() { address(ip, path.child("clusterIPs").index(i)) }
    }
    if isHeadless {
      if !spec.loadBalancerIP.isEmpty { add("spec.loadBalancerIP is ignored for headless services") }
      if !spec.externalIPs.isEmpty { add("spec.externalIPs is ignored for headless services") }
      if spec.sessionAffinity != "None" { add("spec.SessionAffinity is ignored for headless services") }
    }
    for (i, ip) in spec.externalIPs.enumerated() { address(ip, path.child("externalIPs").index(i)) }
    if !spec.externalIPs.isEmpty, !isHeadless, spec.type != "ExternalName" {
      add("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    }
    if !spec.loadBalancerIP.isEmpty { address(spec.loadBalancerIP, path.child("loadBalancerIP")) }
    for (i, block) in spec.loadBalancerSourceRanges.enumerated() {
      self.block(block, path.child("loadBalancerSourceRanges").index(i))
    }
    if spec.type == "ExternalName", !spec.externalIPs.isEmpty {
      add(#"spec.externalIPs is ignored when spec.type is "ExternalName""#)
    }
    if spec.type != "ExternalName", !spec.externalName.isEmpty {
      add(#"spec.externalName is ignored when spec.type is not "ExternalName""#)
    }
    if spec.trafficDistribution == "PreferClose" {
      add(path.child("trafficDistribution"), #""PreferClose" is deprecated; use "PreferSameZone""#)
    }
  }

  private mutating func persistentVolume(_ volume: PersistentVolume) {
    let (spec, path) = (volume.spec, FieldPath("spec"))
    annotation(classAnnotation, volume.metadata, classText)
    if spec.persistentVolumeReclaimPolicy == "Recycle" {
      add(
        path.child("persistentVolumeReclaimPolicy"),
        "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
    }
    for (i, term) in (spec.nodeAffinity?.required?.nodeSelectorTerms ?? []).enumerated() {
      nodeTerm(term, path.child("nodeAffinity", "required", "nodeSelectorTerms").index(i))
    }
    for (field, present, text) in [
      ("photonPersistentDisk", spec.photonPersistentDisk != nil, "deprecated in v1.11, non-functional in v1.16+"),
      ("scaleIO", spec.scaleIO != nil, "deprecated in v1.16, non-functional in v1.22+"),
      ("storageOS", spec.storageos != nil, "deprecated in v1.22, non-functional in v1.25+"),
      ("glusterfs", spec.glusterfs != nil, "deprecated in v1.25, non-functional in v1.26+"),
      ("cephfs", spec.cephfs != nil, "deprecated in v1.28, non-functional in v1.31+"),
      ("rbd", spec.rbd != nil, "deprecated in v1.28, non-functional in v1.31+"),
    ] where present { add(path.child(field), text) }
  }

  /// A selector of nodes that names labels no longer in use.
  private mutating func nodeLabels(_ selector: LabelSelector, _ path: FieldPath) {
    for (i, expression) in selector.matchExpressions.enumerated() {
      guard let text = deprecatedLabels[expression.key] else { continue }
      add(path.child("matchExpressions").index(i).child("key"), "\(expression.key) is \(text)")
    }
    for label in selector.matchLabels.keys.sorted() {
      if let text = deprecatedLabels[label] { add(path.child("matchLabels").child(label), text) }
    }
  }

  private mutating func networkPolicy(_ policy: NetworkPolicy) {
    let path = FieldPath("spec")
    let peers =
      policy.spec.ingress.enumerated().map { (path.child("ingress").index($0).child("from"), $1.from) }
      + policy.spec.egress.enumerated().map { (path.child("egress").index($0).child("to"), $1.to) }
    for (path, list) in peers {
      for (i, peer) in list.enumerated() {
        guard let block = peer.ipBlock else { continue }
        let path = path.index(i).child("ipBlock")
        self.block(block.cidr, path.child("cidr"))
        for (j, exception) in block.except.enumerated() { self.block(exception, path.child("except").index(j)) }
      }
    }
  }

  private mutating func endpointSlice(_ slice: EndpointSlice) {
    if slice.addressType == "FQDN" { add(FieldPath("addressType"), "FQDN endpoints are deprecated") }
    for (i, endpoint) in slice.endpoints.enumerated() {
      let path = FieldPath("endpoints").index(i).child("addresses")
      for (j, ip) in endpoint.addresses.enumerated() where slice.addressType != "FQDN" { address(ip, path.index(j)) }
    }
  }

  private mutating func endpoints(_ endpoints: Endpoints) {
    // The controller's own are in the form in which pods have them.
    if endpoints.metadata.labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" { return }
    for (i, subset) in endpoints.subsets.enumerated() {
      let path = FieldPath("subsets").index(i)
      for (field, list) in [
        ("addresses", subset.addresses), ("notReadyAddresses", subset.notReadyAddresses),
      ] {
        for (j, entry) in list.enumerated() { address(entry.ip, path.child(field).index(j).child("ip")) }
      }
    }
  }
}
