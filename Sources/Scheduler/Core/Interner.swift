/// Gives equal values one number and counts who uses it; the number of a value that nobody uses is not given again.
struct Interner<Value: Hashable & Sendable>: Sendable {
  private var ids: [Value: Int] = [:]
  private(set) var values: [Int: Value] = [:]
  private var uses: [Int: Int] = [:]
  private var next = 0

  mutating func acquire(_ value: Value) -> Int {
    if let id = ids[value] {
      uses[id, default: 0] += 1
      return id
    }
    next += 1
    ids[value] = next
    values[next] = value
    uses[next] = 1
    return next
  }

  mutating func release(_ id: Int) {
    let left = (uses[id] ?? 1) - 1
    uses[id] = left
    guard left <= 0 else { return }
    uses[id] = nil
    if let value = values.removeValue(forKey: id) { ids[value] = nil }
  }
}
