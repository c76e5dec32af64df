"""Warnings of libraries that a user cannot act on, silenced before those libraries are imported."""

from __future__ import annotations

import logging
import os
import warnings

LOGGERS = (
    "torchao",
    "torch.utils._pytree",
    "pytorch_lightning",
    "pytorch_lightning.utilities.rank_zero",
    "lightning.pytorch",
    "httpx",
    "huggingface_hub",
    "datasets",
    "transformers",
    "peft",
    "bitsandbytes",
)


def hush() -> None:
    """Keep errors, drop notices; the environment variables reach libraries that read them at import."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore")
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.raiseExceptions = False  # a pipe that closed early, as by `head`, is no news for every line
