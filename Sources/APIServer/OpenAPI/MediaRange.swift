/// One clause of an `Accept` field.
struct MediaRange: Hashable {
  var type: String
  var subtype: String
  var quality: Double

  /// The clauses, the most wanted first; equals keep their order.
  static func parse(_ accept: String) -> [MediaRange] {
    var ranges: [MediaRange] = []
    for clause in accept.split(separator: ",") {
      let parts = clause.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
      guard let name = parts.first?.lowercased() else { continue }
      let names = name.split(separator: "/", maxSplits: 1)
      guard names.count == 2 || name == "*" else { continue }
      var range = MediaRange(type: String(names[0]), subtype: names.count == 2 ? String(names[1]) : "*", quality: 1)
      for parameter in parts.dropFirst() where parameter.hasPrefix("q=") {
        range.quality = Double(parameter.dropFirst(2)) ?? 1
      }
      ranges.append(range)
    }
    let order = ranges.indices.sorted { (ranges[$1].quality, $0) < (ranges[$0].quality, $1) }
    return order.map { ranges[$0] }
  }

  func matches(_ type: String, _ subtype: String) -> Bool {
    (self.type == type || self.type == "*") && (self.subtype == subtype || self.subtype == "*")
  }
}
