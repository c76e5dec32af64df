"""Where a server may listen, told before any model is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmcycle.port import check_reach, listen


def test_only_this_machine_is_reached_without_a_key() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "::1"):
        check_reach(host, None)
    check_reach("0.0.0.0", "key")
    with pytest.raises(ValueError, match=r"^host 0\.0\.0\.0: (.|\n)*try: --api-key KEY"):
        check_reach("0.0.0.0", None)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.7"])
def test_a_host_that_is_none_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(ValueError, match=rf"^host {host}: can't listen(.|\n)*try: --host 127\.0\.0\.1$"):
        listen(host, 0)


def test_no_torch_is_needed_to_say_so() -> None:
    code = "import sys, llmcycle.port; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
