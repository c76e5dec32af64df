"""Begin and end one run of W&B, with or without a server, an account or an agent."""

from __future__ import annotations

import netrc
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import yaml

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported

import wandb
from pytorch_lightning.utilities import rank_zero_only

from llmcycle.tracking.warning import warn_once

Mode = Literal["online", "offline", "disabled"]
STEP = "trainer/global_step"  # Lightning's axis of all curves
CONNECTION = 10.0  # seconds until a server that takes no connection counts as out of reach
PATIENCE = 30.0  # seconds until a server that does not answer counts as out of reach
RETRIES = 5  # of what is said once; rows of curves are sent again for longer
FLUSH = 1.0  # seconds of a curve that a killed run may lose; W&B's own is 15
UPLOAD = 60.0  # seconds that the end of a run waits for what is still to be sent
ENVIRONMENT = {"sweep": "WANDB_SWEEP_ID", "run": "WANDB_RUN_ID", "swept": "WANDB_SWEEP_PARAM_PATH"}


def begin(mode: Mode, *, settings: Mapping[str, Any], **arguments: Any) -> Any:
    """A W&B run that neither prints nor asks; None on the ranks that don't log.

    One that can't reach its server is kept offline, and with it all that follow in this process. The command line
    (`x_disable_meta`) and the console stay out of it: they may hold credentials.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    if mode != "online":
        return start(mode, settings, arguments)
    try:
        if not out_of_reach():
            answers()
            return start(mode, settings, arguments)
    except Exception as error:  # W&B's own, the network's, or that of a key which is none
        out_of_reach().append(error)
        warn_once("reaching W&B", error, "runs are kept here to be uploaded later")
        if not isinstance(error, OSError):  # W&B's process has begun the run, and takes its id for used
            arguments = {**arguments, "id": secrets.token_hex(4)}
    return start("offline", settings, arguments)


def answers() -> None:
    """OSError where nobody listens at the server's address: W&B itself would try again for as long as it is let."""
    address = urlsplit(base_url())
    if not getproxies().get(address.scheme):
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((address.hostname or "", port), timeout=CONNECTION).close()


@cache
def out_of_reach() -> list[Exception]:
    """Why the server could not be reached, once it could not."""
    return []


def start(mode: Mode, settings: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """The same for one mode."""
    quiet = {"silent": True, "console": "off", "disable_code": True, "x_disable_meta": True}
    patience = {"init_timeout": PATIENCE, "finish_timeout": UPLOAD, "finish_timeout_raises": True}
    again = {"x_graphql_retry_max": RETRIES, "x_graphql_retry_wait_max_seconds": CONNECTION}
    every = wandb.Settings(**quiet, **patience, **again, **settings, x_transaction_log_flush_interval=FLUSH)
    with beside_the_agent():
        run = wandb.init(mode=mode, settings=every, reinit="create_new", **arguments)
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    return run


@contextmanager
def beside_the_agent() -> Iterator[None]:
    """Inside, W&B does not take every run of this process for the one that its agent waits for.

    It would give all of them the same id, and so make one of all stages of a life cycle.
    """
    settings = wandb.setup().settings
    before = settings.sweep_id, settings.run_id
    settings.sweep_id, settings.run_id = None, None
    try:
        yield
    finally:
        settings.sweep_id, settings.run_id = before


def agent() -> dict[str, str]:
    """What a W&B agent has told this process, or a user in its place: the ids of its sweep and run, and what it varies
    here. Each is "" where nothing is said: https://docs.wandb.ai/models/track/environment-variables.
    """
    said = {name: os.environ.get(variable, "") for name, variable in ENVIRONMENT.items()}
    path = Path(said["swept"]) if said["swept"] else None
    values = yaml.safe_load(path.read_text("utf-8")) if path and path.is_file() else {}
    varied = {key: value["value"] for key, value in values.items() if isinstance(value, dict) and "value" in value}
    return {**said, "swept": " ".join(f"{key}={value}" for key, value in varied.items())}


def default_mode() -> Mode:
    """WANDB_MODE if it is set; online where a key is known, so that nobody is ever asked for one; else offline."""
    chosen = os.environ.get("WANDB_MODE", "")
    if chosen in ("online", "offline", "disabled"):
        return chosen  # type: ignore[return-value]
    return "online" if os.environ.get("WANDB_API_KEY") or _in_netrc() else "offline"


def base_url() -> str:
    """The server's address, which only the environment names."""
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def _in_netrc() -> bool:
    host = urlsplit(base_url()).hostname or ""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
