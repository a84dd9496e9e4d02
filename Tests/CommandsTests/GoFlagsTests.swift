import Testing

@testable import Commands

@Suite struct GoFlagsTests {
  private let flags = GoFlags(
    component: "kube-test",
    [
      .text("name", "nobody", "A name."), .flag("leader-elect", true, "A flag."), .integer("v", 2, "A number."),
      .duration("period", "1m0s", "A time."), .list("servers", "", "A list."), .flag("version", false, "The version."),
    ], elsewhere: ["old-flag": "use --name"])

  private func values(_ arguments: String...) throws -> FlagValues {
    guard case .run(let values) = try flags.parse(arguments) else { throw FlagError("printed") }
    return values
  }

  @Test func readsWhatPflagReads() throws {
    let found = try values(
      "--name=a=b", "--leader-elect=false", "-v", "4", "--servers=a, b", "--servers", "c", "--period", "1h2m3.5s")
    #expect(found.text("name") == "a=b")
    #expect(found.flag("leader-elect") == false)
    #expect(found.integer("v") == 4)
    #expect(found.list("servers") == ["a", "b", "c"])
    #expect(found.duration("period") == .seconds(3600 + 120 + 3) + .milliseconds(500))
    #expect(try values("--leader-elect", "--name", "x").flag("leader-elect"))
    #expect(try values("--leader_elect=0").flag("leader-elect") == false)
    let none = try values()
    #expect(none.text("name") == "nobody" && none.flag("leader-elect") && none.duration("period") == .seconds(60))
    #expect(!none.isSet("name") && found.isSet("name"))
  }

  @Test(arguments: [
    (["--nonsense"], "unknown flag: --nonsense"),
    (["--old-flag=1"], "--old-flag is not served by apus: use --name"),
    (["--name"], "flag needs an argument: --name"),
    (["--v=four"], "invalid argument \"four\" for \"--v\" flag: parsing \"four\": invalid syntax"),
    (
      ["--leader-elect=maybe"],
      "invalid argument \"maybe\" for \"--leader-elect\" flag: parsing \"maybe\": invalid syntax"
    ),
    (["--period=1x"], "invalid argument \"1x\" for \"--period\" flag: time: invalid duration \"1x\""),
    (["run"], "unknown command \"run\" for \"kube-test\""),
  ])
  func saysWhatIsWrong(_ arguments: [String], _ message: String) {
    let error = #expect(throws: FlagError.self) { try flags.parse(arguments) }
    #expect(error?.description == message)
  }

  @Test func printsItsVersionAndHelp() throws {
    guard case .print(let version) = try flags.parse(["--version"]) else { throw FlagError("ran") }
    #expect(version == "Kubernetes v1.36.2+apus.0")
    guard case .print(let help) = try flags.parse(["--help"]) else { throw FlagError("ran") }
    #expect(help.contains("--servers strings") && help.contains("(default nobody)"))
  }

  @Test func everyComponentsFlagsHaveOneMeaning() {
    for flags in [
      APIServerCommand.flags, SchedulerCommand.flags, ControllerManagerCommand.flags, KubeletCommand.flags,
      ProxyCommand.flags,
    ] {
      let names = flags.flags.map(\.name)
      #expect(Set(names).count == names.count, "\(flags.component)")
      #expect(Set(names).isDisjoint(with: flags.elsewhere.keys), "\(flags.component)")
    }
  }
}
