extension ControllerManager.Configuration {
  /// What can be set of the horizontal pod autoscaler, with upstream's defaults.
  public struct Autoscaling: Sendable {
    /// The time between two looks at an autoscaler.
    public var syncPeriod: Duration = .seconds(15)
    /// Seconds for which the highest recommendation holds, unless an autoscaler says otherwise.
    public var downscaleStabilization = 300.0
    /// How far the ratio of a figure to its target may be from one before anything is scaled.
    public var tolerance = 0.1
    /// Seconds after a pod's start during which its processor time counts only once it is ready.
    public var cpuInitializationPeriod: Int64 = 300
    /// Seconds after a pod's start within which it is held to have never been ready if it is not.
    public var initialReadinessDelay: Int64 = 30
    /// Autoscalers that are looked at at one time.
    public var workers = 5

    public init() {}

    var calculator: ReplicaCalculator {
      ReplicaCalculator(
        cpuInitializationPeriod: cpuInitializationPeriod, initialReadinessDelay: initialReadinessDelay)
    }
  }
}
