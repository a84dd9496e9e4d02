import APIMachinery
import HTTP
import Protobuf

/// What an answer's object is turned into.
enum Output: Sendable, Equatable {
  case object
  case table
  case partialMetadata
}

/// The encodings of answers, in the order of preference.
enum ResponseMedia: String, Sendable, CaseIterable {
  case json = "application/json"
  case yaml = "application/yaml"
  case protobuf = "application/vnd.kubernetes.protobuf"

  /// The part after `application/`.
  var subtype: Substring { rawValue.dropFirst(12) }
}

/// The form of answer that a client asked for.
struct ResponseForm: Sendable, Equatable {
  /// What kind of answer is asked for.
  enum Place { case resource, watch, plain }

  var media = ResponseMedia.json
  var output = Output.object
  var pretty = false

  /// Chooses from an Accept field: the most wanted clause that can be served.
  static func negotiate(_ accept: String, for place: Place = .resource) throws -> ResponseForm {
    if accept.isEmpty || accept == "application/json" || accept == "*/*" { return ResponseForm() }
    for clause in AcceptClause.parse(accept) {
      for media in ResponseMedia.allCases where clause.matches(media) {
        guard let form = accepted(clause, media, place) else { continue }
        if place == .watch, media == .yaml { throw notAcceptable(.watch) }
        return form
      }
    }
    throw notAcceptable(place)
  }

  /// The form of an error: never a reason to hide the error behind another.
  static func forErrors(_ accept: String) -> ResponseForm { (try? negotiate(accept, for: .plain)) ?? ResponseForm() }

  static func notAcceptable(_ place: Place) -> StatusError {
    let all = ResponseMedia.allCases
    return .notAcceptable(
      accepted: place == .watch
        ? all.filter { $0 != .yaml }.map { $0.rawValue + ";stream=watch" } : all.map(\.rawValue))
  }

  private static func accepted(_ clause: AcceptClause, _ media: ResponseMedia, _ place: Place) -> ResponseForm? {
    var form = ResponseForm(media: media)
    var target: (kind: String, group: String, version: String)?
    for (name, value) in clause.parameters {
      switch name {
      case "as": target = (value, target?.group ?? "", target?.version ?? "")
      case "g": target = (target?.kind ?? "", value, target?.version ?? "")
      case "v": target = (target?.kind ?? "", target?.group ?? "", value)
      case "stream": if !value.isEmpty, value != "watch" || media == .yaml { return nil }
      case "sv": if !value.isEmpty { return nil }
      case "pretty": form.pretty = value == "1"
      default: break
      }
    }
    guard let target else { return form }
    guard place != .plain, target.group == "meta.k8s.io", target.version == "v1" else { return nil }
    switch target.kind {
    case "Table":
      // Tables have no protobuf form.
      if media == .protobuf { return nil }
      form.output = .table
    case "PartialObjectMetadata", "PartialObjectMetadataList": form.output = .partialMetadata
    default: return nil
    }
    return form
  }

  /// Whether people read the answer: they said so, or they use a tool that only people use.
  static func wantsPretty(_ query: [(String, String)], _ headers: HTTPFields) -> Bool {
    if let asked = query.first(where: { $0.0 == "pretty" })?.1, !asked.isEmpty {
      return ["1", "t", "T", "TRUE", "true", "True"].contains(asked)
    }
    guard let agent = headers["user-agent"] else { return false }
    return agent.hasPrefix("curl") || agent.hasPrefix("Wget") || agent.hasPrefix("Mozilla/5.0")
  }
}

/// One clause of an Accept field.
struct AcceptClause: Sendable {
  var type: Substring
  var subtype: Substring
  var quality = 1.0
  var parameters: [(name: String, value: String)] = []

  /// The clauses, the most wanted first, the more general after the more exact.
  static func parse(_ accept: String) -> [AcceptClause] {
    var clauses: [AcceptClause] = []
    for text in accept.split(separator: ",") {
      let parts = text.split(separator: ";")
      guard let media = parts.first else { continue }
      let names = media.split(separator: "/", maxSplits: 1).map { trimmed($0) }
      guard let type = names.first else { continue }
      guard names.count == 2 || type == "*" else { continue }
      var clause = AcceptClause(type: type, subtype: names.count == 2 ? names[1] : "*")
      for part in parts.dropFirst() {
        guard let equals = part.firstIndex(of: "=") else { continue }
        let name = trimmed(part[..<equals])
        let value = trimmed(part[part.index(after: equals)...])
        if name == "q" {
          clause.quality = Double(value) ?? 1
        } else {
          clause.parameters.append((String(name), String(value)))
        }
      }
      clauses.append(clause)
    }
    guard clauses.count > 1 else { return clauses }
    // Quality first; of equals the exact ones, then the order in which they came.
    let order = clauses.indices.sorted { a, b in
      if clauses[a].quality != clauses[b].quality { return clauses[a].quality > clauses[b].quality }
      if clauses[a].wildcards != clauses[b].wildcards { return clauses[a].wildcards < clauses[b].wildcards }
      return a < b
    }
    return order.map { clauses[$0] }
  }

  private var wildcards: Int { type == "*" ? 2 : subtype == "*" ? 1 : 0 }

  func matches(_ media: ResponseMedia) -> Bool {
    if type == "application" { return subtype == media.subtype || subtype == "*" }
    return type == "*" && subtype == "*"
  }

  func parameter(_ name: String) -> String? { parameters.last { $0.name == name }?.value }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " || $0 == "\t" }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return text
  }
}
