import ArgumentParser
import Commands

@main
enum Main {
  static func main() async { await Apus.main() }
}
