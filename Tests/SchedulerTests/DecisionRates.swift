import API
import Foundation
import Testing

@testable import Scheduler

/// scheduler_perf's named cases for the deciding core alone. `Benchmarks/scheduler.sh` runs them in release mode; among
/// the tests they run small, so that they stay right.
@Suite(.serialized) struct DecisionRates {
  enum Case: String, CaseIterable, Sendable {
    case basic, preferredNodeAffinity, requiredNodeAffinity, podAntiAffinity, podAffinity, preferredPodAffinity
    case preferredPodAntiAffinity, topologySpreading, preferredTopologySpreading, preemption, unschedulable, mixedChurn
  }

  static let full = ProcessInfo.processInfo.environment["APUS_SCHEDULER_BENCH"] != nil
  static let nodes = full ? 5000 : 60
  static let pods = full ? 5000 : 50

  private func pod(_ kind: Case, _ index: Int) -> Pod {
    var pod = makePod("\(kind.rawValue)-\(index)", cpu: 100, memory: 500 << 20)
    switch kind {
    case .basic, .mixedChurn: break
    case .preferredNodeAffinity:
      pod.spec.affinity = Affinity {
        $0.nodeAffinity = API.NodeAffinity {
          $0.preferredDuringSchedulingIgnoredDuringExecution = [
            PreferredSchedulingTerm {
              $0.weight = 1; $0.preference = inZone(["zone-1"])
            }
          ]
        }
      }
    case .requiredNodeAffinity:
      pod.spec.affinity = Affinity {
        $0.nodeAffinity = API.NodeAffinity {
          $0.requiredDuringSchedulingIgnoredDuringExecution = NodeSelector {
            $0.nodeSelectorTerms = [inZone(["zone-0", "zone-1"])]
          }
        }
      }
    case .podAntiAffinity:
      pod.metadata.labels = ["color": "green"]
      pod.spec.affinity = Affinity {
        $0.podAntiAffinity = PodAntiAffinity {
          $0.requiredDuringSchedulingIgnoredDuringExecution = [term(hostname, "green")]
        }
      }
    case .podAffinity:
      pod.metadata.labels = ["color": "blue"]
      pod.spec.affinity = Affinity {
        $0.podAffinity = PodAffinity {
          $0.requiredDuringSchedulingIgnoredDuringExecution = [term(zone, "blue")]
        }
      }
    case .preferredPodAffinity:
      pod.metadata.labels = ["color": "red"]
      pod.spec.affinity = Affinity {
        $0.podAffinity = PodAffinity {
          $0.preferredDuringSchedulingIgnoredDuringExecution = [
            WeightedPodAffinityTerm {
              $0.weight = 1; $0.podAffinityTerm = term(hostname, "red")
            }
          ]
        }
      }
    case .preferredPodAntiAffinity:
      pod.metadata.labels = ["color": "yellow"]
      pod.spec.affinity = Affinity {
        $0.podAntiAffinity = PodAntiAffinity {
          $0.preferredDuringSchedulingIgnoredDuringExecution = [
            WeightedPodAffinityTerm {
              $0.weight = 1; $0.podAffinityTerm = term(hostname, "yellow")
            }
          ]
        }
      }
    case .topologySpreading, .preferredTopologySpreading:
      pod.metadata.labels = ["app": "web"]
      let isHard = kind == .topologySpreading
      pod.spec.topologySpreadConstraints = [spread(zone, skew: 5, required: isHard, app: "web")]
    case .preemption:
      pod.spec.priority = 10
      pod.spec.containers[0].resources.requests["cpu"] = Quantity(milli: 3000)
    case .unschedulable: pod.spec.containers[0].resources.requests["cpu"] = Quantity(milli: 900_000)
    }
    return pod
  }

  private func inZone(_ zones: [String]) -> NodeSelectorTerm {
    NodeSelectorTerm {
      $0.matchExpressions = [
        NodeSelectorRequirement {
          $0.key = zone
          $0.operator = "In"
          $0.values = zones
        }
      ]
    }
  }

  private func term(_ key: String, _ color: String) -> PodAffinityTerm {
    PodAffinityTerm {
      $0.topologyKey = key
      $0.labelSelector = selector(["color": color])
    }
  }

  @Test(arguments: Case.allCases) func rate(kind: Case) {
    var core = SchedulerCore(random: Seeded(state: 1))
    for index in 0..<Self.nodes {
      var node = makeNode("node-\(index)", cpu: 4000, memory: 32 << 30)
      node.metadata.labels[zone] = "zone-\(index % 3)"
      core.nodeChanged(node, now: 0)
    }
    if kind == .preemption {
      for index in 0..<4 * Self.nodes {
        var low = makePod("low-\(index)", cpu: 900, memory: 500 << 20)
        low.spec.nodeName = "node-\(index % Self.nodes)"
        core.podChanged(low, now: 0)
      }
    }
    // The first pod of a kind pays for the look at every node.
    let warm = pod(kind, -1)
    core.podChanged(warm, now: 0)
    _ = core.next(now: 0, .init(volumes: { _ in .anywhere }))
    let looked = core.nodesLookedAt
    let pods = (0..<Self.pods).map { pod(kind, $0) }
    for pod in pods { core.podChanged(pod, now: 0) }
    var decided = 0
    var placed = 0
    let clock = ContinuousClock()
    let took = clock.measure {
      while let decision = core.next(now: 0, .init(volumes: { _ in .anywhere })) {
        decided += 1
        if case .place(let pod, _) = decision {
          placed += 1
          core.bound(pod)
          if kind == .mixedChurn, decided % 3 == 0 { core.podDeleted(pod.metadata.uid, now: 0) }
          if kind == .mixedChurn, decided % 50 == 0 {
            var node = makeNode("churn-\(decided)", cpu: 4000, memory: 32 << 30)
            node.metadata.labels[zone] = "zone-0"
            core.nodeChanged(node, now: 0)
          }
        } else if kind == .preemption, case .refuse(_, _, let choice?) = decision {
          for victim in choice.victims { core.podDeleted(victim.metadata.uid, now: 0) }
        }
      }
    }
    #expect(decided >= Self.pods)
    switch kind {
    case .unschedulable: #expect(placed == 0)
    case .preemption: break
    case .podAntiAffinity: #expect(placed == min(Self.pods, Self.nodes - 1))
    default: #expect(placed == Self.pods)
    }
    // No decision looks at nodes where nothing changed.
    #expect(core.nodesLookedAt - looked <= 6 * decided + 2)
    if Self.full {
      let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
      print("| \(kind.rawValue) | \(decided) | \(Int(Double(decided) / seconds)) |")
    }
  }
}
