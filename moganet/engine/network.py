"""Under which address, and on which interface, this machine meets the others of a job."""

from __future__ import annotations

import os
import socket
import struct

_SIOCGIFADDR = 0x8915  # Linux's request for the address of an interface, see netdevice(7)


def own_address(other: str, port: int) -> str:
    """Return the address under which a machine that this one reaches can reach this one; nothing is sent."""
    family, kind, _, _, where = socket.getaddrinfo(other, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(where)
        return str(probe.getsockname()[0])


def name_interface() -> None:
    """Have gloo use the interface on which this machine reaches the first one of its job.

    gloo, which carries the processes' signals to each other beside NCCL, listens on what the machine's name stands for.
    On many machines that is 127.0.1.1, where no other one reaches it. ``GLOO_SOCKET_IFNAME`` of the user's own stays.
    """
    first = os.environ.get('MASTER_ADDR')
    if first is None or 'GLOO_SOCKET_IFNAME' in os.environ:
        return
    try:
        address = own_address(first, 1)
    except OSError:  # the name is not known here; who connects to it will say so
        return
    name = interface_of(address)
    if name is not None and not address.startswith('127.'):
        os.environ['GLOO_SOCKET_IFNAME'] = name


def interface_of(address: str) -> str | None:
    """Return the name of the interface that has an IPv4 address; None where that cannot be found out."""
    try:
        import fcntl
    except ImportError:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack('256s', name.encode()[:15]))
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
