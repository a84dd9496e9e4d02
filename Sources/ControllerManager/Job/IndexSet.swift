/// Whole numbers as a Job's status writes them: `0,2-5,7`.
struct IndexSet: Sendable, Equatable, CustomStringConvertible {
  private var members: Set<Int> = []

  init(_ text: String) {
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first <= last else { continue }
      members.formUnion(first...last)
    }
  }

  mutating func insert(_ index: Int) -> Bool { members.insert(index).inserted }
  func contains(_ index: Int) -> Bool { members.contains(index) }
  var count: Int { members.count }
  mutating func formIntersection(_ range: Range<Int>) { members = members.filter(range.contains) }
  func intersectionCount(_ other: IndexSet) -> Int { members.intersection(other.members).count }

  var description: String {
    var parts: [String] = []
    var run: ClosedRange<Int>?
    func text(_ run: ClosedRange<Int>) -> String {
      switch run.count {
      case 1: "\(run.lowerBound)"
      case 2: "\(run.lowerBound),\(run.upperBound)"
      default: "\(run.lowerBound)-\(run.upperBound)"
      }
    }
    for member in members.sorted() {
      if let open = run, open.upperBound + 1 == member {
        run = open.lowerBound...member
      } else {
        if let run { parts.append(text(run)) }
        run = member...member
      }
    }
    if let run { parts.append(text(run)) }
    return parts.joined(separator: ",")
  }
}
