import API
import APIMachinery
import Linux

/// What is to be done about a range of Service addresses: pure. A range that is deleted stays for as long as addresses
/// are taken from it that no other range holds.
enum ServiceCIDRDecision: Sendable, Equatable {
  case nothing
  /// Write finalizers and, after that, the status.
  case write(ServiceCIDR)
  case writeStatus(ServiceCIDR)
  /// Let the range go.
  case release(ServiceCIDR)
  /// Look again after so many seconds: allocators must have heard of the deletion first.
  case wait(Int64)

  static let finalizer = "networking.k8s.io/service-cidr-finalizer"
  private static let grace: Int64 = 10

  static func decide(
    _ range: ServiceCIDR, others: [ServiceCIDR], addresses: [IPAddress], now: Time
  ) -> ServiceCIDRDecision {
    var changed = range
    guard let deletion = range.metadata.deletionTimestamp else {
      set(&changed, "True", "", "Kubernetes Service CIDR is ready", now)
      if !range.metadata.finalizers.contains(finalizer) {
        changed.metadata.finalizers.append(finalizer)
        return .write(changed)
      }
      return changed.status == range.status ? .nothing : .writeStatus(changed)
    }
    guard mayGo(range, others, addresses) else {
      set(
        &changed, "False", "Terminating",
        "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR", now)
      return changed.status == range.status ? .nothing : .writeStatus(changed)
    }
    let left = deletion.adding(seconds: grace).seconds(since: now)
    if left > 0 { return .wait(left) }
    guard range.metadata.finalizers.contains(finalizer) else { return .nothing }
    changed.metadata.finalizers.removeAll { $0 == finalizer }
    return .release(changed)
  }

  /// The ranges that share addresses with one.
  static func overlapping(_ range: ServiceCIDR, _ all: [ServiceCIDR]) -> [ServiceCIDR] {
    let own = prefixes(range)
    return all.filter { other in
      prefixes(other).contains { theirs in own.contains { $0.contains(theirs) || theirs.contains($0) } }
    }
  }

  /// The ranges that an address lies in.
  static func containing(_ address: IPAddress, _ all: [ServiceCIDR]) -> [ServiceCIDR] {
    guard address.metadata.labels["ipaddress.kubernetes.io/managed-by"] == "ipallocator.k8s.io",
      let number = NetworkAddress(address.metadata.name)
    else { return [] }
    return all.filter { prefixes($0).contains { $0.contains(number) } }
  }

  private static func mayGo(_ range: ServiceCIDR, _ others: [ServiceCIDR], _ addresses: [IPAddress]) -> Bool {
    let held = others.filter { $0.metadata.name != range.metadata.name }
    let prefixesOfOthers = held.flatMap(prefixes)
    if prefixes(range).allSatisfy({ own in prefixesOfOthers.contains { $0.contains(own) } }) { return true }
    return addresses.allSatisfy { containing($0, [range]).isEmpty || !containing($0, held).isEmpty }
  }

  private static func prefixes(_ range: ServiceCIDR) -> [IPPrefix] { range.spec.cidrs.compactMap { IPPrefix($0) } }

  private static func set(
    _ range: inout ServiceCIDR, _ status: String, _ reason: String, _ message: String, _ now: Time
  ) {
    range.status.conditions.set(
      Condition {
        $0.type = "Ready"
        $0.status = status
        $0.reason = reason
        $0.message = message
      }, now: now)
  }
}
