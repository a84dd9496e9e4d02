#define _GNU_SOURCE
#include "CLinux.h"

#include <sched.h>

int clinux_unshare(int flags) { return unshare(flags); }

int clinux_setns(int descriptor, int kind) { return setns(descriptor, kind); }
