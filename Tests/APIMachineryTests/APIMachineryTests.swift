// Tests of APIMachinery.
