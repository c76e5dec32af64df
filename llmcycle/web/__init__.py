"""What every server here stands on: connections with limits on time, bodies with limits on size, start and end."""

from llmcycle.web.body import MAX_BODY, BodyTimeout, BodyTooLarge, host_name, limited
from llmcycle.web.server import NO_TELEMETRY, address, make_server, running

__all__ = [
    "MAX_BODY",
    "NO_TELEMETRY",
    "BodyTimeout",
    "BodyTooLarge",
    "address",
    "host_name",
    "limited",
    "make_server",
    "running",
]
