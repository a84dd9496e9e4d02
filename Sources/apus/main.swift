import Commands

await Apus.main()
