import APIMachinery
import Testing

@testable import APIServer

@Suite struct ResourceMetricsTests {
  private func sample(_ time: Int64, cpu: Double, memory: Int = 4096, start: Double = 1) -> ResourceSample {
    ResourceSample(
      text: Array(
        """
        # HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time
        container_cpu_usage_seconds_total{container="a",namespace="n",pod="p"} \(cpu) \(time)
        container_memory_working_set_bytes{container="a",namespace="n",pod="p"} \(memory) \(time)
        container_start_time_seconds{container="a",namespace="n",pod="p"} \(start) \(time + 7)
        node_cpu_usage_seconds_total \(cpu * 2) \(time)
        node_memory_working_set_bytes 8.192e+03 \(time)
        pod_cpu_usage_seconds_total{namespace="n",pod="p"} \(cpu) \(time)
        """.utf8))
  }
  private let key = ResourceSample.PodKey(namespace: "n", name: "p")

  @Test func linesAreRead() throws {
    let line = try #require(MetricLine(Array(#"a_total{x="q\"\\\n",y=""} 1.5e3 12"#.utf8)))
    #expect(line.name == "a_total" && line.labels == ["x": "q\"\\\n", "y": ""])
    #expect(line.value == 1500 && line.timestamp == 12)
    for text in ["", "a{b=c} 1", "a{b=\"c\" 1", "a NaN", "a +Inf", "a 1e300", "{} 1"] {
      #expect(MetricLine(Array(text.utf8)) == nil, "\(text)")
    }
    #expect(sample(5, cpu: 1).pods[key]?["a"] == UsagePoint(time: 5, cpu: 1, memory: 4096, start: 1000))
    #expect(sample(5, cpu: 1).node == UsagePoint(time: 5, cpu: 2, memory: 8192))
  }

  @Test func ratesAreOfTheTimeBetween() {
    var history = ResourceHistory()
    #expect(history.node("one") == nil && history.pod(key, node: "one") == nil)
    history.add(sample(20_000, cpu: 3), node: "one")
    // The node has no start to reckon from, the container has.
    #expect(history.node("one") == nil)
    #expect(history.pod(key, node: "one")?["a"]?.nanocores == 157_894_737)
    history.add(sample(40_000, cpu: 13, memory: 1 << 20), node: "one")
    #expect(history.node("one")?.nanocores == 1_000_000_000)
    let usage = history.pod(key, node: "one")?["a"]
    #expect(usage?.nanocores == 500_000_000 && usage?.window == 20_000 && usage?.memory == 1 << 20)
    history.keep(only: [])
    #expect(history.node("one") == nil)
  }

  @Test func whatBeganAnewIsReckonedFromItsStart() {
    var history = ResourceHistory()
    history.add(sample(20_000, cpu: 30), node: "one")
    history.add(sample(40_000, cpu: 5, start: 30), node: "one")
    #expect(history.pod(key, node: "one")?["a"]?.nanocores == 500_000_000)
    history.add(sample(41_000, cpu: 0, start: 40.5), node: "one")
    #expect(history.pod(key, node: "one") == nil)
    // A counter that fell although nothing began anew says nothing.
    history.add(sample(50_000, cpu: 4, start: 1), node: "one")
    history.add(sample(60_000, cpu: 3, start: 1), node: "one")
    #expect(history.pod(key, node: "one") == nil)
  }
}
