# SPDX-License-Identifier: Apache-2.0
"""network.py COMMAND...: runs a command in a network of its own, of which nothing is reached from outside and nothing
outside from within.  Its loopback interface has, besides 127.0.0.0/8, the whole of PODS: to the kernel these are no less
this machine's own, but a real kube-apiserver takes them for addresses of pods and passes requests on to them.

Exit 3 with a sentence: that cannot be had here; it needs the right to make network namespaces, which root mostly has."""
import ctypes
import fcntl
import os
import socket
import struct
import sys

PODS = "198.18.0.0/15"
CLONE_NEWNET, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP = 0x40000000, 0x8914, 0x8916, 0x891c, 1


def is_here():
    """Can pods have these addresses?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        try:
            s.bind(("198.19.0.1", 0))
        except OSError:
            return False
    return True


def enter():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace can be made: " + os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
        # Of a loopback interface all addresses below the mask are the machine's.
        for request, address in ((SIOCSIFADDR, "198.18.0.1"), (SIOCSIFNETMASK, "255.254.0.0")):
            fcntl.ioctl(s, request, struct.pack("16sHH4s16x", b"lo:pods", socket.AF_INET, 0, socket.inet_aton(address)))


def main():
    if len(sys.argv) < 2:
        print("usage: network.py COMMAND...", file=sys.stderr)
        return 2
    try:
        enter()
        if not is_here():
            raise OSError("no address of %s can be listened on" % PODS)
    except OSError as e:
        print(e.strerror or e, file=sys.stderr)
        return 3
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
