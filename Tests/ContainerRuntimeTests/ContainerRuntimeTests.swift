// Tests of ContainerRuntime.
