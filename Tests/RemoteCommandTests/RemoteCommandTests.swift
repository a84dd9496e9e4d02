// Tests of RemoteCommand.
