"""Turn into another program that ends with its parent: a script, `child.py PARENT UID GID PROGRAM ARGUMENT...`.

A script of its own, not a function between fork and exec: the parent has threads, and code there may deadlock on
their locks.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def become(parent: int, uid: int, gid: int, command: list[str]) -> None:
    """Drop to `uid` and `gid`, ask for SIGINT when the process `parent` dies, and run `command` in our place."""
    os.umask(0o077)
    if os.geteuid() != uid:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it.
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl refused")
    if os.getppid() != parent:
        sys.exit("the parent is gone")  # it died before the kernel was asked
    os.execv(command[0], command)  # noqa: S606 - no shell is what we want


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.exit(f"FATAL:  cannot run {sys.argv[4]} as user {sys.argv[2]}: {error.strerror}")
