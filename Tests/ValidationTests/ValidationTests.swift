// Tests of Validation.
