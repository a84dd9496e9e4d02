// System calls that the Glibc module does not show to Swift.
#pragma once
#include <stdint.h>
#include <sys/types.h>

enum {
  CLINUX_CLONE_NEWNS = 0x00020000,
  CLINUX_CLONE_NEWUTS = 0x04000000,
  CLINUX_CLONE_NEWNET = 0x40000000,
};

/// unshare(2) for the calling thread. 0, or -1 with errno set.
int clinux_unshare(int flags);
/// setns(2) for the calling thread. 0, or -1 with errno set.
int clinux_setns(int descriptor, int kind);
/// A netlink socket bound to a port of the kernel's choice and to multicast groups (a bit mask), with a time limit for
/// reading (seconds; 0 is none). The descriptor, or -1 with errno set.
int clinux_netlink(int protocol, uint32_t groups, int timeout);
