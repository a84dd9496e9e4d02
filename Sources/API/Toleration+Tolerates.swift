public import APICore

extension Toleration {
  /// Whether a pod with this toleration may stay where the taint is.
  public func tolerates(_ taint: Taint) -> Bool {
    if !effect.isEmpty && effect != taint.effect { return false }
    if !key.isEmpty && key != taint.key { return false }
    switch `operator` {
    case "", "Equal": return value == taint.value
    case "Exists": return true
    case "Lt":
      guard let limit = Int64(value), let actual = Int64(taint.value) else { return false }
      return actual < limit
    case "Gt":
      guard let limit = Int64(value), let actual = Int64(taint.value) else { return false }
      return actual > limit
    default: return false
    }
  }
}

extension Array<Toleration> {
  /// Whether any of these tolerates the taint.
  public func tolerate(_ taint: Taint) -> Bool { contains { $0.tolerates(taint) } }

  /// The first taint of the given effects that none of these tolerates.
  public func firstUntolerated(in taints: [Taint], effects: Set<String> = ["NoSchedule", "NoExecute"]) -> Taint? {
    taints.first { effects.contains($0.effect) && !tolerate($0) }
  }
}
