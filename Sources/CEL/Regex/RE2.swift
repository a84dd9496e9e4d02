internal import Synchronization

/// A regular expression of RE2's syntax, matched in time linear in the text.
public final class RE2: Sendable {
  /// Why a pattern is none.
  public struct SyntaxError: Error, Sendable, Hashable {
    /// In Go's words.
    public let message: String
  }

  /// The pattern.
  public let pattern: String
  let program: [RegexInstruction]
  /// Of the groups in parentheses, without the whole.
  public let groupCount: Int

  /// Compiles a pattern.
  public init(_ pattern: String) throws(SyntaxError) {
    self.pattern = pattern
    var parser = RegexParser(pattern)
    let tree = try parser.parse()
    var compiler = RegexCompiler()
    program = try compiler.compile(tree)
    groupCount = parser.groups
  }

  private static let cache = Mutex<[String: RE2]>([:])

  /// Compiled once for patterns that come again.
  static func cached(_ pattern: String) throws(CELError) -> RE2 {
    if let known = cache.withLock({ $0[pattern] }) { return known }
    do throws(RE2.SyntaxError) {
      let made = try RE2(pattern)
      cache.withLock {
        if $0.count > 512 { $0.removeAll() }
        $0[pattern] = made
      }
      return made
    } catch {
      throw CELError("error parsing regexp: \(error.message)")
    }
  }

  /// Whether the pattern is found anywhere in the text.
  public func matches(_ text: String) -> Bool {
    RegexMachine(program).run(Array(text.unicodeScalars), from: 0, captures: 0) != nil
  }

  /// Where the leftmost match lies: pairs of places in the code points, the whole first, -1 for groups that took no part.
  func firstMatch(in text: [Unicode.Scalar], from start: Int) -> [Int]? {
    RegexMachine(program).run(text, from: start, captures: groupCount + 1)
  }

  /// All matches that do not overlap, as Go's FindAll gives them.
  func allMatches(in text: [Unicode.Scalar], limit: Int = .max) -> [[Int]] {
    var out: [[Int]] = []
    var at = 0
    var lastEnd = -1
    while at <= text.count, out.count < limit, let match = firstMatch(in: text, from: at) {
      if match[1] == match[0] {
        // An empty match right after another is none.
        if match[0] != lastEnd { out.append(match) }
        at = match[1] + 1
      } else {
        out.append(match)
        at = match[1]
      }
      lastEnd = match[1]
    }
    return out
  }
}

/// A step of the machine.
enum RegexInstruction: Sendable {
  case scalar(RegexSet)
  case split(Int, Int)
  case jump(Int)
  case save(Int)
  case assert(RegexAssertion)
  case match
}

enum RegexAssertion: Sendable { case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary }

/// Pike's machine: all ways of matching go through the text side by side.
struct RegexMachine {
  private let program: [RegexInstruction]
  init(_ program: [RegexInstruction]) { self.program = program }

  private struct Threads {
    var list: [(pc: Int, saved: [Int])] = []
    var seen: [Int]
    init(_ count: Int) { seen = Array(repeating: -1, count: count) }
  }

  func run(_ text: [Unicode.Scalar], from start: Int, captures: Int) -> [Int]? {
    var current = Threads(program.count)
    var next = Threads(program.count)
    var best: [Int]?
    let empty = [Int](repeating: -1, count: captures * 2)
    var at = start
    while at <= text.count {
      if best == nil { add(0, empty, at, text, &current) } else if current.list.isEmpty { break }
      next.list.removeAll(keepingCapacity: true)
      for thread in current.list {
        switch program[thread.pc] {
        case .match:
          best = thread.saved
          if captures == 0 { return best }
        case .scalar(let set):
          if at < text.count, set.contains(text[at]) { add(thread.pc + 1, thread.saved, at + 1, text, &next) }
          continue
        default: continue
        }
        break  // later threads are less preferred than the one that matched
      }
      swap(&current, &next)
      at += 1
    }
    return best
  }

  /// Follows what takes no character, with a stack of its own so that no pattern can exhaust ours.
  private func add(_ pc: Int, _ saved: [Int], _ at: Int, _ text: [Unicode.Scalar], _ threads: inout Threads) {
    var stack = [(pc, saved)]
    while let (pc, saved) = stack.popLast() {
      if threads.seen[pc] == at { continue }
      threads.seen[pc] = at
      switch program[pc] {
      case .jump(let target): stack.append((target, saved))
      case .split(let first, let second):
        stack.append((second, saved))
        stack.append((first, saved))
      case .save(let slot):
        var saved = saved
        if slot < saved.count { saved[slot] = at }
        stack.append((pc + 1, saved))
      case .assert(let assertion): if holds(assertion, at, text) { stack.append((pc + 1, saved)) }
      case .scalar, .match: threads.list.append((pc, saved))
      }
    }
  }

  private func holds(_ assertion: RegexAssertion, _ at: Int, _ text: [Unicode.Scalar]) -> Bool {
    func isWord(_ i: Int) -> Bool {
      guard i >= 0, i < text.count, text[i].value < 128 else { return false }
      let byte = UInt8(text[i].value)
      return byte.isLetter || byte.isDigit || byte == 0x5F
    }
    switch assertion {
    case .textStart: return at == 0
    case .textEnd: return at == text.count
    case .lineStart: return at == 0 || text[at - 1] == "\n"
    case .lineEnd: return at == text.count || text[at] == "\n"
    case .wordBoundary: return isWord(at - 1) != isWord(at)
    case .noWordBoundary: return isWord(at - 1) == isWord(at)
    }
  }
}

/// Makes the machine's steps of a tree.
struct RegexCompiler {
  private var out: [RegexInstruction] = []
  /// RE2 keeps programs small as well; counted repetition could make them huge.
  private static let limit = 120_000

  mutating func compile(_ tree: RegexTree) throws(RE2.SyntaxError) -> [RegexInstruction] {
    out.append(.save(0))
    try emit(tree)
    out.append(.save(1))
    out.append(.match)
    return out
  }

  private mutating func emit(_ tree: RegexTree) throws(RE2.SyntaxError) {
    if out.count > Self.limit { throw RE2.SyntaxError(message: "expression too large") }
    switch tree {
    case .empty: break
    case .set(let set): out.append(.scalar(set))
    case .assert(let assertion): out.append(.assert(assertion))
    case .sequence(let parts): for part in parts { try emit(part) }
    case .group(let inner, let index):
      out.append(.save(index * 2))
      try emit(inner)
      out.append(.save(index * 2 + 1))
    case .alternatives(let list):
      var jumps: [Int] = []
      for (i, alternative) in list.enumerated() {
        if i == list.count - 1 {
          try emit(alternative)
        } else {
          let split = out.count
          out.append(.match)
          try emit(alternative)
          jumps.append(out.count)
          out.append(.match)
          out[split] = .split(split + 1, out.count)
        }
      }
      for jump in jumps { out[jump] = .jump(out.count) }
    case .repeated(let inner, let low, let high, let greedy):
      for _ in 0..<low { try emit(inner) }
      guard let high else {
        let split = out.count
        out.append(.match)
        try emit(inner)
        out.append(.jump(split))
        out[split] = greedy ? .split(split + 1, out.count) : .split(out.count, split + 1)
        return
      }
      var splits: [Int] = []
      for _ in low..<max(low, high) {
        splits.append(out.count)
        out.append(.match)
        try emit(inner)
      }
      for split in splits { out[split] = greedy ? .split(split + 1, out.count) : .split(out.count, split + 1) }
    }
  }
}
