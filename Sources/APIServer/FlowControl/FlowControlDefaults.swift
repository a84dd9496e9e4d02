import API

/// The FlowSchemas and priority levels that every cluster has: two of each that must be, and those that upstream suggests.
enum FlowControlDefaults {
  /// Says whether an object follows the defaults of the version in use; those that must be follow always.
  static let autoUpdate = "apf.kubernetes.io/autoupdate-spec"

  static let mandatory: Set<String> = ["exempt", "catch-all"]

  static let levels: [PriorityLevelConfiguration] =
    [
      PriorityLevelConfiguration {
        $0.metadata.name = "exempt"
        $0.spec.type = "Exempt"
        $0.spec.exempt = ExemptPriorityLevelConfiguration {
          $0.nominalConcurrencyShares = 0
          $0.lendablePercent = 0
        }
      },
      level("catch-all", 5, lendable: 0, queues: nil),
    ] + [
      level("system", 30, lendable: 33, queues: (64, 6)),
      level("node-high", 40, lendable: 25, queues: (64, 6)),
      level("leader-election", 10, lendable: 0, queues: (16, 4)),
      level("workload-high", 40, lendable: 50, queues: (128, 6)),
      level("workload-low", 100, lendable: 90, queues: (128, 6)),
      level("global-default", 20, lendable: 50, queues: (128, 6)),
    ]

  private static func level(
    _ name: String, _ shares: Int32, lendable: Int32, queues: (Int32, hand: Int32)?
  ) -> PriorityLevelConfiguration {
    PriorityLevelConfiguration {
      $0.metadata.name = name
      $0.spec.type = "Limited"
      $0.spec.limited = LimitedPriorityLevelConfiguration {
        $0.nominalConcurrencyShares = shares
        $0.lendablePercent = lendable
        $0.limitResponse.type = queues == nil ? "Reject" : "Queue"
        $0.limitResponse.queuing = queues.map { queues in
          QueuingConfiguration {
            $0.queues = queues.0
            $0.handSize = queues.hand
            $0.queueLengthLimit = 50
          }
        }
      }
    }
  }

  private static let authenticated = "system:authenticated"
  private static let unauthenticated = "system:unauthenticated"
  private static let leases = rule(["get", "create", "update"], "coordination.k8s.io", ["leases"])

  static let schemas: [FlowSchema] = [
    schema("exempt", "exempt", 1, nil, groups("system:masters"), everything),
    schema("catch-all", "catch-all", 10000, "ByUser", groups(unauthenticated, authenticated), everything),
    schema(
      "probes", "exempt", 2, nil, groups(unauthenticated, authenticated),
      (
        [],
        [
          NonResourcePolicyRule {
            $0.verbs = ["get"]
            $0.nonResourceURLs = ["/healthz", "/readyz", "/livez"]
          }
        ]
      )),
    schema(
      "system-leader-election", "leader-election", 100, "ByUser",
      users("system:kube-controller-manager", "system:kube-scheduler") + accounts("*"), ([leases], [])),
    schema(
      "endpoint-controller", "workload-high", 150, "ByUser",
      users("system:kube-controller-manager") + accounts("endpoint-controller", "endpointslicemirroring-controller"),
      ([rule(["get", "create", "update"], "", ["endpoints"])], [])),
    schema("workload-leader-election", "leader-election", 200, "ByUser", accounts("*"), ([leases], [])),
    schema(
      "system-node-high", "node-high", 400, "ByUser", groups("system:nodes"),
      (
        [rule(["*"], "", ["nodes", "nodes/status"], cluster: true), rule(["*"], "coordination.k8s.io", ["leases"])], []
      )),
    schema("system-nodes", "system", 500, "ByUser", groups("system:nodes"), everything),
    schema(
      "kube-controller-manager", "workload-high", 800, "ByNamespace", users("system:kube-controller-manager"),
      everything),
    schema("kube-scheduler", "workload-high", 800, "ByNamespace", users("system:kube-scheduler"), everything),
    schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", accounts("*"), everything),
    schema(
      "service-accounts", "workload-low", 9000, "ByUser", groups("system:serviceaccounts"), everything),
    schema(
      "global-default", "global-default", 9900, "ByUser", groups(unauthenticated, authenticated), everything),
  ]

  private typealias Rules = (resources: [ResourcePolicyRule], paths: [NonResourcePolicyRule])

  private static let everything: Rules = (
    [rule(["*"], "*", ["*"], cluster: true)],
    [
      NonResourcePolicyRule {
        $0.verbs = ["*"]
        $0.nonResourceURLs = ["*"]
      }
    ]
  )

  private static func rule(
    _ verbs: [String], _ group: String, _ resources: [String], cluster: Bool = false
  ) -> ResourcePolicyRule {
    ResourcePolicyRule {
      $0.verbs = verbs
      $0.apiGroups = [group]
      $0.resources = resources
      $0.namespaces = ["*"]
      $0.clusterScope = cluster
    }
  }

  private static func groups(_ names: String...) -> [FlowcontrolSubject] {
    names.map { name in
      FlowcontrolSubject {
        $0.kind = "Group"
        $0.group = GroupSubject { $0.name = name }
      }
    }
  }

  private static func users(_ names: String...) -> [FlowcontrolSubject] {
    names.map { name in
      FlowcontrolSubject {
        $0.kind = "User"
        $0.user = UserSubject { $0.name = name }
      }
    }
  }

  private static func accounts(_ names: String...) -> [FlowcontrolSubject] {
    names.map { name in
      FlowcontrolSubject {
        $0.kind = "ServiceAccount"
        $0.serviceAccount = ServiceAccountSubject {
          $0.namespace = "kube-system"
          $0.name = name
        }
      }
    }
  }

  private static func schema(
    _ name: String, _ level: String, _ precedence: Int32, _ method: String?, _ subjects: [FlowcontrolSubject],
    _ rules: Rules
  ) -> FlowSchema {
    FlowSchema {
      $0.metadata.name = name
      $0.spec.priorityLevelConfiguration.name = level
      $0.spec.matchingPrecedence = precedence
      $0.spec.distinguisherMethod = method.map { method in FlowDistinguisherMethod { $0.type = method } }
      $0.spec.rules = [
        PolicyRulesWithSubjects {
          $0.subjects = subjects
          $0.resourceRules = rules.resources
          $0.nonResourceRules = rules.paths
        }
      ]
    }
  }
}
