/// An expression that is ready to run.
public final class CELProgram: @unchecked Sendable {  // immutable
  /// The text it was made from.
  public let source: String
  /// The type of its value.
  public let resultType: CELType
  let tree: Expr
  let checked: Checked
  private let root: Node
  private let globals: [String]
  private let slots: Int
  private let environment: CELEnvironment

  init(
    source: String, tree: Expr, checked: Checked, root: Node, _ planner: Planner, environment: CELEnvironment
  ) {
    self.source = source
    self.tree = tree
    self.checked = checked
    self.root = root
    self.environment = environment
    globals = planner.globals
    slots = planner.slots
    resultType = checked.types[tree.id] ?? .dyn
  }

  /// The variables of the environment that the expression uses.
  public var usedVariables: [String] { globals }

  /// The value, or the error that took its place.
  public func evaluate(_ activation: CELActivation, costLimit: UInt64 = .max) throws(CELError) -> CELValue {
    try run(activation, costLimit: costLimit).get()
  }

  /// Evaluates within a budget that several expressions share; what is used is taken off it.
  public func evaluate(
    _ activation: CELActivation, costLimit: UInt64, budget: inout UInt64
  ) throws(CELError) -> CELValue {
    let frame = Frame(activation, globals: globals, slots: slots, limit: min(costLimit, budget))
    defer { budget -= min(budget, frame.cost) }
    return try root.eval(frame)
  }

  /// The value and what it cost.
  public func evaluateWithCost(
    _ activation: CELActivation, costLimit: UInt64 = .max
  ) throws(CELError) -> (value: CELValue, cost: UInt64) {
    let frame = Frame(activation, globals: globals, slots: slots, limit: costLimit)
    return (try root.eval(frame), frame.cost)
  }

  private func run(_ activation: CELActivation, costLimit: UInt64) -> Result<CELValue, CELError> {
    let frame = Frame(activation, globals: globals, slots: slots, limit: costLimit)
    do throws(CELError) { return .success(try root.eval(frame)) } catch { return .failure(error) }
  }

  /// What an evaluation may cost at least and at most, as far as the sizes of the variables are known.
  public var estimatedCost: CostEstimate {
    var estimator = CostEstimator(environment, checked)
    return estimator.cost(tree)
  }
}
