// Tests of KubeProxy.
