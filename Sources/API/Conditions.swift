public import APICore
public import APIGroups
public import APIMachinery
public import APIMeta

/// A condition of any kind: a type, a status, and when the status last changed.
public protocol StatusCondition {
  /// What the condition is about.
  var type: String { get set }
  /// `True`, `False` or `Unknown`.
  var status: String { get set }
  /// One word for why.
  var reason: String { get set }
  /// A sentence for people.
  var message: String { get set }
  /// When `status` last changed.
  var lastTransitionTime: Time { get set }
}

extension Condition: StatusCondition {}
extension PodCondition: StatusCondition {}
extension NodeCondition: StatusCondition {}
extension NamespaceCondition: StatusCondition {}
extension PersistentVolumeClaimCondition: StatusCondition {}
extension ReplicationControllerCondition: StatusCondition {}
extension DeploymentCondition: StatusCondition {}
extension ReplicaSetCondition: StatusCondition {}
extension StatefulSetCondition: StatusCondition {}
extension DaemonSetCondition: StatusCondition {}
extension JobCondition: StatusCondition {}
extension HorizontalPodAutoscalerCondition: StatusCondition {}
extension CertificateSigningRequestCondition: StatusCondition {}
extension CustomResourceDefinitionCondition: StatusCondition {}
extension APIServiceCondition: StatusCondition {}
extension FlowSchemaCondition: StatusCondition {}
extension PriorityLevelConfigurationCondition: StatusCondition {}

extension Array where Element: StatusCondition {
  /// The condition of that type.
  public func condition(_ type: String) -> Element? { first { $0.type == type } }

  /// Whether the condition of that type is there and `True`.
  public func isTrue(_ type: String) -> Bool { condition(type)?.status == "True" }

  /// Whether the condition of that type is there and `False`.
  public func isFalse(_ type: String) -> Bool { condition(type)?.status == "False" }

  /// Adds or replaces a condition; its transition time only moves when the status changes. Says whether anything
  /// but times changed.
  @discardableResult
  public mutating func set(_ condition: Element, now: Time) -> Bool {
    var condition = condition
    guard let i = firstIndex(where: { $0.type == condition.type }) else {
      if condition.lastTransitionTime.isZero { condition.lastTransitionTime = now }
      append(condition)
      return true
    }
    let old = self[i]
    if old.status == condition.status {
      condition.lastTransitionTime = old.lastTransitionTime
    } else if condition.lastTransitionTime.isZero || condition.lastTransitionTime == old.lastTransitionTime {
      condition.lastTransitionTime = now
    }
    self[i] = condition
    return old.status != condition.status || old.reason != condition.reason || old.message != condition.message
  }

  /// Removes the condition of that type.
  public mutating func remove(_ type: String) { removeAll { $0.type == type } }
}
