import API

// Reading kinds that have no type of their own.

extension JSONValue {
  /// A string field; empty where there is none.
  func text(_ key: String) -> String { self[key]?.stringValue ?? "" }

  /// A field that is a list; empty where there is none.
  func list(_ key: String) -> [JSONValue] { self[key]?.arrayValue ?? [] }

  /// A field that is an object; an empty one where there is none.
  func part(_ key: String) -> JSONValue { self[key] ?? .object([:]) }
}

/// The conditions of a status in the form in which they are checked.
func conditionForms(_ status: JSONValue) -> [ConditionForm] {
  status.list("conditions").map {
    ConditionForm(
      type: $0.text("type"), status: $0.text("status"), reason: $0.text("reason"), message: $0.text("message"),
      hasTransition: !$0.text("lastTransitionTime").isEmpty, observedGeneration: $0["observedGeneration"]?.intValue ?? 0
    )
  }
}
