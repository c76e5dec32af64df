"""What all tests share: no network, a working directory of their own where they ask for one, and a byte-level
tokenizer with a random Llama small enough for any test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes of two threads on two cores stall each other
    os.environ["OMP_NUM_THREADS"] = "1"
os.environ["WANDB_MODE"] = "offline"

from llmcycle.quiet import hush

hush()

import torch  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from torch import Tensor  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: E402

from llmcycle.data.chat import set_chat_template  # noqa: E402
from llmcycle.engine import TransformersEngine  # noqa: E402

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and the special tokens of the storefront's chats."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({token: index for index, token in enumerate(SPECIAL + alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token="<|endoftext|>",
        extra_special_tokens=["<|user|>", "<|assistant|>", "<|end|>"],
    )


def random_llama(vocab_size: int, seed: int = 0, **config: int) -> LlamaForCausalLM:
    """A Llama of 2 layers and width 32 with random weights, in fp32 and evaluation mode."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2} | config
    # Wider than the usual 0.02, so that logits differ by more than rounding.
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, initializer_range=0.3, **sizes)).eval()


def save_chatting(folder: Path, template: str | None = None, **config: int) -> PreTrainedTokenizerFast:
    """Leave a random Llama that chats in a folder.

    Args:
        template: of its chats; None for our own.
        config: see `random_llama`.
    """
    tokenizer = byte_tokenizer()
    if template is None:
        set_chat_template(tokenizer)
    else:
        tokenizer.chat_template = template
    random_llama(len(tokenizer), **config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def seeming_model(folder: Path) -> None:
    """A folder that the check takes for one with a model of which nothing is known."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return random_llama(len(tokenizer))


@pytest.fixture
def engine(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> TransformersEngine:
    return TransformersEngine(model, tokenizer)


@pytest.fixture
def chat_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def probe(chat_tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    """Two tokenised rows, [2, T]."""
    rows = ["<|user|>What colour is the lamp?<|end|><|assistant|>red<|end|>", "<|user|>Hello<|end|>"]
    return dict(chat_tokenizer(rows, padding=True, return_tensors="pt"))


@pytest.fixture
def base(model: LlamaForCausalLM, tmp_path: Path) -> Path:
    """A folder that holds the base model."""
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that a run's `outputs` stay out of the repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCYCLE_OUTPUTS", "outputs")
    return tmp_path


@pytest.fixture
def toys(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the toy cycle, whose code recipes may name."""
    import toy

    monkeypatch.setattr("llmcycle.config.allow._extra", {"toy"})
    toy.lay_out(here)
    return here
