/// What an expression may use: variables, functions and types.
public struct CELEnvironment: Sendable {
  /// How strict the language is.
  public struct Options: Sendable {
    /// Elements of a list literal, and keys and values of a map literal, must be of one type.
    public var homogeneousLiterals = true
    public var optionals = true
    public var twoVariableComprehensions = true
    public init() {}
  }

  /// Declared variables by name.
  public private(set) var variables: [String: CELType] = [:]
  public var options = Options()
  var sizes: [String: CELSchemaType] = [:]
  private var functions: [String: [Overload]] = [:]
  private var implementations: [String: CELFunction] = [:]
  private var typeNames: [String: CELType] = [:]
  private var objects: [String: CELSchemaType] = [:]
  private var constructibleTypes: Set<String> = []
  private var hasMutationObjects = false
  var libraries: Set<String> = []

  /// The standard library and these others.
  public init(libraries: [CELLibrary] = CELLibrary.kubernetes) {
    add(.standard)
    for library in libraries { add(library) }
  }

  /// Adds a library.
  public mutating func add(_ library: CELLibrary) {
    guard libraries.insert(library.name).inserted else { return }
    for (name, overloads) in library.overloads { functions[name, default: []] += overloads }
    implementations.merge(library.functions, uniquingKeysWith: either)
    typeNames.merge(library.types) { $1 }
  }

  /// Declares a variable.
  public mutating func declare(_ name: String, _ type: CELType) { variables[name] = type }

  /// Declares a variable of a schema, whose bounds also serve the estimate of costs.
  public mutating func declare(_ name: String, _ schema: CELSchemaType) {
    variables[name] = schema.celType
    sizes[name] = schema
    add(schema)
  }

  /// Makes a schema's objects known, and all they hold. `constructible` ones may be made by expressions.
  public mutating func add(_ schema: CELSchemaType, constructible: Bool = false) {
    var pending = [schema]
    while let next = pending.popLast() {
      if case .object(let name) = next.celType {
        if constructible { constructibleTypes.insert(name) }
        if objects[name] != nil { continue }
        objects[name] = next
      }
      pending += next.children
    }
  }

  func typeName(_ name: String) -> CELType? {
    typeNames[name] ?? (constructible(name) != nil ? .object(name) : nil)
  }

  func overloads(_ name: String) -> [Overload]? { functions[name] }

  func implementation(_ name: String) -> CELFunction? { implementations[name] }

  func objectType(_ name: String) -> CELSchemaType? {
    objects[name] ?? (isMutationObject(name) ? CELSchemaType.open(name) : nil)
  }

  func constructible(_ name: String) -> CELSchemaType? {
    constructibleTypes.contains(name) || isMutationObject(name) ? objectType(name) : nil
  }

  private func isMutationObject(_ name: String) -> Bool {
    hasMutationObjects && (name == "Object" || name.hasPrefix("Object."))
  }

  /// Lets expressions make `Object{spec: Object.spec{…}}`: objects named after their place, with any fields.
  public mutating func addMutationObjects() { hasMutationObjects = true }

  /// Parses, checks and plans an expression.
  public func compile(_ source: String) throws(CELErrors) -> CELProgram {
    let options = ParserOptions(
      optionals: options.optionals, twoVariableComprehensions: options.twoVariableComprehensions)
    let tree = try Parser.parse(source, options: options)
    let text = CELSource(source)
    let checked = try Checker.check(tree, text, in: self)
    var planner = Planner(self, checked)
    let root: Node
    do throws(CELIssue) {
      root = try planner.plan(tree)
    } catch {
      throw CELErrors(issues: [error], source: text)
    }
    return CELProgram(source: source, tree: tree, checked: checked, root: root, planner, environment: self)
  }
}

/// What runs when a function is called: the target, if there is one, comes first.
public typealias CELFunction = @Sendable (_ args: [CELValue]) throws(CELError) -> CELValue

/// Two libraries may give the same function for different types: the second is asked where the first has no overload.
private func either(_ first: @escaping CELFunction, _ second: @escaping CELFunction) -> CELFunction {
  { (args) throws(CELError) in
    do throws(CELError) {
      return try first(args)
    } catch {
      guard error == .noSuchOverload else { throw error }
      return try second(args)
    }
  }
}

/// Functions and types under one name.
public struct CELLibrary: Sendable {
  public let name: String
  var overloads: [String: [Overload]] = [:]
  var functions: [String: CELFunction] = [:]
  var types: [String: CELType] = [:]

  init(_ name: String) { self.name = name }

  /// Declares a function in the notation of `SignatureReader`, with what it does.
  mutating func add(_ function: String, _ signatures: [String], _ body: @escaping CELFunction) {
    overloads[function, default: []] += signatures.map(SignatureReader.overload)
    functions[function] = functions[function].map { either($0, body) } ?? body
  }

  /// Declares what the planner itself carries out.
  mutating func declare(_ function: String, _ signatures: [String]) {
    overloads[function, default: []] += signatures.map(SignatureReader.overload)
  }

  /// What Kubernetes 1.36 gives to expressions.
  public static let kubernetes: [CELLibrary] = [
    .strings, .math, .listsExtension, .sets, .encoders, .optionals, .comprehensions, .lists, .regex, .urls, .quantity,
    .network, .semver, .format, .authorization, .jsonPatch,
  ]
}
