// Tests of Linux.
