"""Code that lies beside a model's weights never runs: transformers would ask on standard input whether it may.

To import this is enough: the question is answered for every loader of transformers.
"""

from __future__ import annotations

from typing import Any, NoReturn

from transformers import dynamic_module_utils


def refuse(*_: Any) -> NoReturn:
    """ValueError, where transformers would wait for an answer."""
    raise ValueError(
        "inputs.model: it can only be opened by running Python code that lies beside its weights, which never happens "
        "here; choose a model whose class transformers has"
    )


dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # no question is asked, and what it would do after its time is done:
dynamic_module_utils._raise_timeout_error = refuse
