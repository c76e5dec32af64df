"""The address that a server listens on. Imports nothing heavy: one that can't be had is told before a model is read."""

from __future__ import annotations

import socket
from ipaddress import ip_address

API_KEY = "LLMCYCLE_API_KEY"  # the variable that holds the key, so that it need not stand in a command line
PASSWORD = "LLMCYCLE_FEEDBACK_PASSWORD"  # the same for the page of `llmcycle feedback`
LAST_PORT = 2**16 - 1
FIRST_OF_ALL = 1024  # ports below are the administrator's


def is_local(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_reach(host: str, api_key: str | None) -> None:
    """Refuse to open a model to the network without a key."""
    if api_key is None and not is_local(host):
        remedy = f"--api-key KEY, or the variable {API_KEY}, for a key that others must send; or --host 127.0.0.1"
        raise ValueError(f"host {host}: others could use this server without a key\n  try: {remedy}")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ValueError: there is no such port or host, or it is taken."""
    if not 0 <= port <= LAST_PORT:
        raise ValueError(f"port {port}: ports go from 0 to {LAST_PORT}\n  try: --port 0, for any that is free")
    try:
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ValueError(taken(host, port, error)) from error
    # Connections inherit it. asyncio sets it only where a socket names its protocol, which create_server's does not;
    # without it the end of an answer waits for a delayed acknowledgement (measured: 44 ms).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def taken(host: str, port: int, error: OSError) -> str:
    """Why nothing can listen there, and what to type: another host where that is no address of this machine."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        return f"host {host}: can't listen on it ({error.strerror})\n  try: --host 127.0.0.1"
    free = "--port 8000" if 0 < port < FIRST_OF_ALL else "--port 0, for any that is free"
    return f"port {port}: can't listen on {host}:{port} ({error.strerror})\n  try: {free}"
