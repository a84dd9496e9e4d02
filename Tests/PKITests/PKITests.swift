// Tests of PKI.
