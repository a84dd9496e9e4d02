import API

extension Notes {
  /// Kinds of volumes that are on their way out, or gone.
  mutating func volume(_ volume: Volume, _ path: FieldPath) {
    for (field, present, text) in [
      ("photonPersistentDisk", volume.photonPersistentDisk != nil, "deprecated in v1.11, non-functional in v1.16+"),
      ("gitRepo", volume.gitRepo != nil, "deprecated in v1.11, and disabled by default in v1.33+"),
      ("scaleIO", volume.scaleIO != nil, "deprecated in v1.16, non-functional in v1.22+"),
      ("flocker", volume.flocker != nil, "deprecated in v1.22, non-functional in v1.25+"),
      ("storageOS", volume.storageos != nil, "deprecated in v1.22, non-functional in v1.25+"),
      ("quobyte", volume.quobyte != nil, "deprecated in v1.22, non-functional in v1.25+"),
      ("glusterfs", volume.glusterfs != nil, "deprecated in v1.25, non-functional in v1.26+"),
    ] where present { add(path.child(field), text) }
    if let template = volume.ephemeral?.volumeClaimTemplate {
      claim(template.spec, path.child("ephemeral", "volumeClaimTemplate", "spec"))
    }
    if volume.cephfs != nil { add(path.child("cephfs"), "deprecated in v1.28, non-functional in v1.31+") }
    if volume.rbd != nil { add(path.child("rbd"), "deprecated in v1.28, non-functional in v1.31+") }
  }

  /// A token's file that another source of the volume writes too.
  mutating func tokenPaths(_ volumes: [Volume], _ path: FieldPath) {
    let tokens = Set(
      volumes.flatMap { ($0.projected?.sources ?? []).compactMap { $0.serviceAccountToken?.path } })
    if tokens.isEmpty { return }
    for (i, volume) in volumes.enumerated() {
      let path = path.index(i).child("projected", "sources")
      for source in volume.projected?.sources ?? [] {
        for (field, paths) in [
          ("configMap", (source.configMap?.items ?? []).map(\.path)),
          ("secrets", (source.secret?.items ?? []).map(\.path)),
          ("downwardAPI", (source.downwardAPI?.items ?? []).map(\.path)),
        ] {
          for (j, file) in paths.enumerated() where tokens.contains(file) {
            add(
              path.child(field).index(j), "has duplicated path with ServiceAccountToken \(goQuoted(file))")
          }
        }
        if let bundle = source.clusterTrustBundle, tokens.contains(bundle.path) {
          add(
            path.child("ClusterTrustBundle"),
            "has duplicated path with ServiceAccountToken \(goQuoted(bundle.path))")
        }
      }
    }
  }

  /// Files of one volume that get in each other's way.
  mutating func overlaps(_ volumes: [Volume]) {
    for volume in volumes {
      let name = goQuoted(volume.name)
      if let map = volume.configMap {
        overlap(map.items.map(\.path), "volume \(name) (ConfigMap \(goQuoted(map.name))): overlapping paths")
      }
      if let secret = volume.secret {
        overlap(
          secret.items.map(\.path), "volume \(name) (Secret \(goQuoted(secret.secretName))): overlapping paths")
      }
      if let downward = volume.downwardAPI {
        overlap(downward.items.map(\.path), "volume \(name) (DownwardAPI): overlapping paths")
      }
      var all: Set<String> = []
      for source in volume.projected?.sources ?? [] {
        guard let (what, paths) = files(source) else {
          if source == VolumeProjection() { add("volume \(name) (Projected) has no sources provided") }
          continue
        }
        let text = "volume \(name) (Projected \(what)): overlapping paths"
        overlap(paths, text)
        overlap((Set(paths) + Array(all)).sorted(), text)
        all.formUnion(paths)
      }
    }
  }

  private func files(_ source: VolumeProjection) -> (String, [String])? {
    if let map = source.configMap, !map.items.isEmpty {
      return ("ConfigMap \(goQuoted(map.name))", map.items.map(\.path))
    }
    if let secret = source.secret, !secret.items.isEmpty {
      return ("Secret \(goQuoted(secret.name))", secret.items.map(\.path))
    }
    if let downward = source.downwardAPI, !downward.items.isEmpty { return ("DownwardAPI", downward.items.map(\.path)) }
    if let token = source.serviceAccountToken { return ("ServiceAccountToken", [token.path]) }
    if let bundle = source.clusterTrustBundle {
      return ("ClusterTrustBundle \(goQuoted(bundle.name ?? bundle.signerName ?? ""))", [bundle.path])
    }
    if let certificate = source.podCertificate {
      let paths = [certificate.credentialBundlePath, certificate.keyPath, certificate.certificateChainPath]
      return ("PodCertificate chain", paths.filter { !$0.isEmpty })
    }
    return nil
  }

  private mutating func overlap(_ paths: [String], _ text: String) {
    var seen: [String] = []
    for path in paths {
      var path = path
      while path.hasSuffix("/") { path.removeLast() }
      let other = seen.first { item in
        !item.isEmpty && !path.isEmpty
          && (item == path || (item + "/").hasPrefix(path + "/") || (path + "/").hasPrefix(item + "/"))
      }
      if let other { add("\(text): \(goQuoted(path)) with \(goQuoted(other))") }
      if !seen.contains(path) { seen.append(path) }
    }
  }
}
