import API
import APIMachinery

/// What slices say the same as Endpoints that somebody wrote by hand: pure.
struct EndpointSliceMirror {
  static let manager = "endpointslicemirroring-controller.k8s.io"
  private static let skip = "endpointslice.kubernetes.io/skip-mirror"
  private static let leader = "control-plane.alpha.kubernetes.io/leader"
  private static let ownAnnotations: Set<String> = [
    "endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration",
  ]

  var create: [EndpointSlice] = []
  var update: [EndpointSlice] = []
  var delete: [EndpointSlice] = []

  /// Whether Endpoints are somebody's own, and their Service leaves them to that.
  static func isWanted(_ endpoints: Endpoints, _ service: Service?) -> Bool {
    guard let service, service.spec.selector.isEmpty, service.metadata.deletionTimestamp == nil,
      endpoints.metadata.deletionTimestamp == nil
    else { return false }
    return endpoints.metadata.labels[skip] != "true" && endpoints.metadata.annotations[leader] == nil
  }

  /// Brings `slices`, those that mirror the Endpoints now, to what they should be; `maxEndpoints` addresses of a subset
  /// are mirrored at most.
  static func decide(
    _ endpoints: Endpoints, slices: [EndpointSlice], maxEndpoints: Int = 1000
  ) -> EndpointSliceMirror {
    var mirror = EndpointSliceMirror()
    var rest = slices.sorted { $0.metadata.name < $1.metadata.name }
    var unmatched: [EndpointSlice] = []
    for slice in wanted(endpoints, maxEndpoints) {
      // One that is right already stays; then one of the same kind is changed.
      if let index = rest.firstIndex(where: { isSame($0, slice) }) {
        rest.remove(at: index)
      } else {
        unmatched.append(slice)
      }
    }
    for slice in unmatched {
      let index =
        rest.firstIndex { $0.addressType == slice.addressType && $0.ports == slice.ports }
        ?? rest.firstIndex { $0.addressType == slice.addressType }
      guard let index else {
        mirror.create.append(slice)
        continue
      }
      var changed = rest.remove(at: index)
      changed.endpoints = slice.endpoints
      changed.ports = slice.ports
      changed.metadata.labels = slice.metadata.labels
      changed.metadata.annotations = slice.metadata.annotations
      mirror.update.append(changed)
    }
    mirror.delete = rest
    return mirror
  }

  private static func isSame(_ a: EndpointSlice, _ b: EndpointSlice) -> Bool {
    a.addressType == b.addressType && a.ports == b.ports && a.endpoints == b.endpoints
      && a.metadata.labels == b.metadata.labels && a.metadata.annotations == b.metadata.annotations
  }

  private static func wanted(_ endpoints: Endpoints, _ maxEndpoints: Int) -> [EndpointSlice] {
    var slices: [EndpointSlice] = []
    for subset in endpoints.subsets {
      let ports = subset.ports.map { port in
        DiscoveryEndpointPort {
          $0.name = port.name
          $0.port = port.port
          $0.protocol = port.protocol
          $0.appProtocol = port.appProtocol
        }
      }
      for type in ["IPv4", "IPv6"] {
        func ofType(_ addresses: [EndpointAddress], ready: Bool) -> [Endpoint] {
          addresses.filter { $0.ip.contains(":") == (type == "IPv6") }.map { endpoint($0, ready: ready) }
        }
        let all = ofType(subset.addresses, ready: true) + ofType(subset.notReadyAddresses, ready: false)
        if all.isEmpty { continue }
        slices.append(
          EndpointSlice { slice in
            slice.metadata.generateName = endpoints.metadata.name + "-"
            slice.metadata.namespace = endpoints.metadata.namespace
            slice.metadata.labels = endpoints.metadata.labels
            slice.metadata.labels[EndpointSliceDecision.serviceName] = endpoints.metadata.name
            slice.metadata.labels[EndpointSliceDecision.managedByLabel] = manager
            slice.metadata.annotations = endpoints.metadata.annotations.filter { !ownAnnotations.contains($0.key) }
            slice.metadata.ownerReferences = [.controller(of: endpoints)]
            slice.addressType = type
            slice.ports = ports
            slice.endpoints = Array(all.prefix(maxEndpoints))
          })
      }
    }
    return slices
  }

  private static func endpoint(_ address: EndpointAddress, ready: Bool) -> Endpoint {
    Endpoint {
      $0.addresses = [address.ip]
      $0.conditions.ready = ready
      $0.targetRef = address.targetRef
      $0.nodeName = address.nodeName
      $0.hostname = address.hostname.isEmpty ? nil : address.hostname
    }
  }
}
