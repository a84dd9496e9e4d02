/// What a comprehension goes over.
private struct Items {
  let keys: [CELValue]?
  let list: CELList?
  let map: CELMap?
  let count: Int

  init(_ range: CELValue) throws(CELError) {
    switch range {
    case .list(let list):
      self.list = list
      (keys, map, count) = (nil, nil, list.count)
    case .map(let map):
      self.map = map
      let keys = map.keys
      (self.keys, list, count) = (keys, nil, keys.count)
    case .object(let object):
      let keys = object.setFields.map { CELValue.string($0) }
      var values: [CELValue] = []
      for name in object.setFields { values.append(try object.field(name) ?? .null) }
      map = CELMap(keys: keys, values: values)
      (self.keys, list, count) = (keys, nil, keys.count)
    default: throw .noSuchOverload
    }
  }

  func load(_ i: Int, _ f: Frame, _ slot: Int, _ slot2: Int?) throws(CELError) {
    if let keys {
      f.slots[slot] = keys[i]
      if let slot2, let map, let value = try map.value(keys[i]) { f.slots[slot2] = value }
    } else if let list {
      if let slot2 {
        f.slots[slot] = .int(Int64(i))
        f.slots[slot2] = try list.element(i)
      } else {
        f.slots[slot] = try list.element(i)
      }
    }
  }
}

/// Any comprehension. An error of a step is kept as the accumulator's value: a later step may absorb it.
final class FoldNode: Node, @unchecked Sendable {
  let range: Node, initial: Node, condition: Node, step: Node, result: Node
  let variable: Int, variable2: Int?, accumulator: Int
  init(
    range: Node, initial: Node, condition: Node, step: Node, result: Node, variable: Int, variable2: Int?,
    accumulator: Int
  ) {
    (self.range, self.initial, self.condition) = (range, initial, condition)
    (self.step, self.result) = (step, result)
    (self.variable, self.variable2, self.accumulator) = (variable, variable2, accumulator)
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let items = try Items(try range.eval(f))
    f.slots[accumulator] = try initial.eval(f)
    for i in 0..<items.count {
      try items.load(i, f, variable, variable2)
      guard case .bool(let goes) = try condition.eval(f) else { throw .noSuchOverload }
      if !goes { break }
      f.slots[accumulator] = try step.eval(f)
    }
    return try result.eval(f)
  }
}

/// `all` and `exists`: the accumulator is a flag, and an error waits for an element that decides.
final class QuantifierNode: Node, @unchecked Sendable {
  let range: Node, body: Node
  let variable: Int, variable2: Int?
  let deciding: Bool
  init(range: Node, body: Node, variable: Int, variable2: Int?, deciding: Bool) {
    (self.range, self.body) = (range, body)
    (self.variable, self.variable2, self.deciding) = (variable, variable2, deciding)
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let items = try Items(try range.eval(f))
    var failure: CELError?
    for i in 0..<items.count {
      try items.load(i, f, variable, variable2)
      // The accumulator's two reads and the test whether to go on; `exists` also negates.
      try f.charge(deciding ? 4 : 3)
      do throws(CELError) {
        if case .bool(let value) = try body.eval(f) {
          if value == deciding {
            try f.charge(1)
            return .bool(deciding)
          }
        } else {
          failure = failure ?? .noSuchOverload
        }
      } catch {
        if error.kind == .costLimit { throw error }
        failure = failure ?? error
      }
    }
    try f.charge(1)
    if let failure { throw failure }
    return .bool(!deciding)
  }
}

/// `map`, `filter`, `transformList`: elements are appended in place.
final class CollectNode: Node, @unchecked Sendable {
  let range: Node, filter: Node?, element: Node
  let variable: Int, variable2: Int?
  init(range: Node, filter: Node?, element: Node, variable: Int, variable2: Int?) {
    (self.range, self.filter, self.element) = (range, filter, element)
    (self.variable, self.variable2) = (variable, variable2)
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let items = try Items(try range.eval(f))
    var out: [CELValue] = []
    try f.charge(10)
    for i in 0..<items.count {
      try items.load(i, f, variable, variable2)
      if let filter {
        guard case .bool(let keep) = try filter.eval(f) else { throw .noSuchOverload }
        if !keep {
          try f.charge(1)
          continue
        }
      }
      out.append(try element.eval(f))
      try f.charge(12)  // the accumulator, the list of one, the addition
    }
    try f.charge(1)
    return .list(out)
  }
}

/// `transformMap` and `transformMapEntry`.
final class CollectMapNode: Node, @unchecked Sendable {
  let range: Node, filter: Node?, element: Node
  let variable: Int, variable2: Int?
  let isEntry: Bool
  init(range: Node, filter: Node?, element: Node, variable: Int, variable2: Int?, isEntry: Bool) {
    (self.range, self.filter, self.element) = (range, filter, element)
    (self.variable, self.variable2, self.isEntry) = (variable, variable2, isEntry)
  }

  override func eval(_ f: Frame) throws(CELError) -> CELValue {
    let items = try Items(try range.eval(f))
    var keys: [CELValue] = []
    var values: [CELValue] = []
    var seen: Set<CELKey> = []
    func insert(_ key: CELValue, _ value: CELValue) throws(CELError) {
      guard let hashable = CELKey(key) else { throw .noSuchOverload }
      if !seen.insert(hashable).inserted { throw CELError("insert failed: key \(key.plainText) already exists") }
      keys.append(key)
      values.append(value)
    }
    try f.charge(30)
    for i in 0..<items.count {
      try items.load(i, f, variable, variable2)
      if let filter {
        guard case .bool(let keep) = try filter.eval(f) else { throw .noSuchOverload }
        if !keep {
          try f.charge(1)
          continue
        }
      }
      let value = try element.eval(f)
      try f.charge(isEntry ? 2 : 3)
      if isEntry {
        guard case .map(let entries) = value else { throw .noSuchOverload }
        for key in entries.keys { try insert(key, try entries.value(key) ?? .null) }
      } else {
        try insert(f.slots[variable], value)
      }
    }
    try f.charge(1)
    return .map(CELMap(keys: keys, values: values))
  }
}
