// RemoteCommand
