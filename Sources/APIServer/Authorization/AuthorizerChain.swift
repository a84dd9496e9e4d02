import Synchronization

/// What is decided, why, and what went wrong on the way.
struct AccessAnswer: Sendable, Hashable {
  var decision: AuthorizationDecision
  var reason = ""
  /// Why somebody who should have been asked did not answer.
  var error: String?
}

/// Asks one authorizer after the other; the first opinion counts.
struct AuthorizerChain: Authorizer {
  enum Step: Sendable {
    case local(any Authorizer)
    case webhook(WebhookAuthorizer)
  }
  let steps: [Step]
  /// Whether anybody outside may have to be asked.
  let asksOthers: Bool

  init(steps: [Step]) {
    self.steps = steps
    asksOthers = steps.contains { if case .webhook = $0 { true } else { false } }
  }

  init(authorizers: [any Authorizer]) { self.init(steps: authorizers.map { .local($0) }) }

  /// What those decide who need not be asked outside.
  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    var reasons: [String] = []
    for case .local(let authorizer) in steps {
      let answer = authorizer.authorize(user, attributes)
      if answer.decision != .noOpinion { return answer }
      if !answer.reason.isEmpty { reasons.append(answer.reason) }
    }
    return (.noOpinion, reasons.joined(separator: "\n"))
  }

  /// The answer as far as it is known here; nil where somebody has to be asked.
  func answerNow(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> AccessAnswer? {
    var collected = Collected()
    for step in steps {
      switch step {
      case .local(let authorizer):
        let answer = authorizer.authorize(user, attributes)
        if let end = collected.add(AccessAnswer(decision: answer.decision, reason: answer.reason)) { return end }
      case .webhook(let webhook):
        guard let answer = webhook.answerNow(user, attributes) else { return nil }
        if let end = collected.add(answer) { return end }
      }
    }
    return collected.answer
  }

  func answer(_ user: UserInfo, _ attributes: AuthorizationAttributes) async -> AccessAnswer {
    var collected = Collected()
    for step in steps {
      switch step {
      case .local(let authorizer):
        let answer = authorizer.authorize(user, attributes)
        if let end = collected.add(AccessAnswer(decision: answer.decision, reason: answer.reason)) { return end }
      case .webhook(let webhook):
        if let end = collected.add(await webhook.answer(user, attributes)) { return end }
      }
    }
    return collected.answer
  }

  private struct Collected {
    private var reasons: [String] = []
    private var errors: [String] = []

    /// The answer, if this one settles it.
    mutating func add(_ answer: AccessAnswer) -> AccessAnswer? {
      if let error = answer.error { errors.append(error) }
      if answer.decision != .noOpinion { return answer }
      if !answer.reason.isEmpty { reasons.append(answer.reason) }
      return nil
    }

    var answer: AccessAnswer {
      AccessAnswer(
        decision: .noOpinion, reason: reasons.joined(separator: "\n"),
        error: errors.isEmpty
          ? nil : errors.count == 1 ? errors[0] : "[\(errors.joined(separator: ", "))]")
    }
  }
}

/// The server's authorizer: a chain, which a configuration file may replace.
///
/// Everybody who decides in passing (admission, expressions) asks synchronously. Where the chain has a webhook in it, the
/// answer may have to be fetched first: then the question is noted in the `AccessMemo` at hand, fetched, and the whole
/// deliberation, which changes nothing, runs again with the answer.
final class ServerAuthorizer: Authorizer {
  private let fixed: AuthorizerChain?
  private let replaceable: Mutex<AuthorizerChain>

  /// `isFixed`: nothing will replace the chain.
  init(_ chain: AuthorizerChain, isFixed: Bool = true) {
    fixed = isFixed ? chain : nil
    replaceable = Mutex(chain)
  }

  func replace(_ chain: AuthorizerChain) { replaceable.withLock { $0 = chain } }

  var chain: AuthorizerChain { fixed ?? replaceable.withLock { $0 } }
  var asksOthers: Bool { chain.asksOthers }

  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    let chain = chain
    guard chain.asksOthers else { return chain.authorize(user, attributes) }
    let answer = known(chain, user, attributes)
    return (answer.decision, answer.reason)
  }

  /// As `authorize`, with what went wrong.
  func decide(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> AccessAnswer {
    let chain = chain
    if chain.asksOthers { return known(chain, user, attributes) }
    let answer = chain.authorize(user, attributes)
    return AccessAnswer(decision: answer.decision, reason: answer.reason)
  }

  func answer(_ user: UserInfo, _ attributes: AuthorizationAttributes) async -> AccessAnswer {
    await chain.answer(user, attributes)
  }

  private func known(
    _ chain: AuthorizerChain, _ user: UserInfo, _ attributes: AuthorizationAttributes
  ) -> AccessAnswer {
    let question = AccessMemo.Question(user: user, attributes: attributes)
    let memo = AccessMemo.current
    if let answer = memo?.answer(question) { return answer }
    if let answer = chain.answerNow(user, attributes) { return answer }
    memo?.ask(question)
    return AccessAnswer(decision: .noOpinion, error: "the authorization webhook has not been asked")
  }

  /// Runs what asks, until it has had every answer. It must change nothing but by its result.
  func settled<T>(_ body: () throws -> T) async throws -> T {
    guard asksOthers else { return try body() }
    let memo = AccessMemo()
    return try await settled(memo, body)
  }

  func settled<T>(_ memo: AccessMemo, _ body: () throws -> T) async throws -> T {
    while true {
      let result = Result { try AccessMemo.$current.withValue(memo) { try body() } }
      let questions = memo.takeQuestions()
      if questions.isEmpty { return try result.get() }
      for question in questions { memo.note(question, await answer(question.user, question.attributes)) }
    }
  }
}

/// The answers that one deliberation has had, and the questions that it has still to ask.
final class AccessMemo: Sendable {
  struct Question: Hashable, Sendable {
    var user: UserInfo
    var attributes: AuthorizationAttributes
  }
  @TaskLocal static var current: AccessMemo?

  private let state = Mutex((answers: [Question: AccessAnswer](), questions: Set<Question>()))

  func answer(_ question: Question) -> AccessAnswer? { state.withLock { $0.answers[question] } }
  func ask(_ question: Question) { _ = state.withLock { $0.questions.insert(question) } }
  func note(_ question: Question, _ answer: AccessAnswer) { state.withLock { $0.answers[question] = answer } }
  var isWaiting: Bool { state.withLock { !$0.questions.isEmpty } }

  func takeQuestions() -> Set<Question> {
    state.withLock { state in
      defer { state.questions = [] }
      return state.questions
    }
  }
}

/// Whom the registry asks what a user may do. The server names them before it serves; until then, and in process,
/// everything is allowed.
final class AccessRules: Sendable {
  private let known = Mutex<(authorizer: any Authorizer, rbac: RBACAuthorizer?)?>(nil)

  /// Sets who decides; without RBAC nobody can grant what they do not have.
  func set(_ authorizer: any Authorizer, rbac: RBACAuthorizer?) { known.withLock { $0 = (authorizer, rbac) } }

  /// Whether a user may do something.
  func allows(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> Bool {
    decide(user, attributes).decision == .allowed
  }

  /// What is decided, and why.
  func decide(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) {
    known.withLock { $0 }?.authorizer.authorize(user, attributes) ?? (.allowed, "")
  }

  /// As `decide`, with what went wrong.
  func answer(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> AccessAnswer {
    switch known.withLock({ $0 })?.authorizer {
    case nil: return AccessAnswer(decision: .allowed)
    case let server as ServerAuthorizer: return server.decide(user, attributes)
    case let other?:
      let answer = other.authorize(user, attributes)
      return AccessAnswer(decision: answer.decision, reason: answer.reason)
    }
  }

  var rbac: RBACAuthorizer? { known.withLock { $0 }?.rbac }

  /// Runs what asks these rules, until it has had every answer. It must change nothing but by its result.
  func settled<T>(_ body: () throws -> T) async throws -> T {
    guard let server = known.withLock({ $0 })?.authorizer as? ServerAuthorizer else { return try body() }
    return try await server.settled(body)
  }
}

/// `system:masters` may do everything, before anybody else is asked.
struct PrivilegedGroupAuthorizer: Authorizer {
  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) { user.groups.contains(UserInfo.mastersGroup) ? (.allowed, "") : (.noOpinion, "") }
}

/// Allows nothing: the mode `AlwaysDeny`.
struct AlwaysDenyMode: Authorizer {
  func authorize(_ user: UserInfo, _ attributes: AuthorizationAttributes) -> (
    decision: AuthorizationDecision, reason: String
  ) { (.noOpinion, "Everything is forbidden.") }
}
