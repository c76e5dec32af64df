"""Activations of a DPO step, and what stands in memory beside the policy: llmcycle, and TRL, on a large vocabulary.

python tests/bench/align_memory.py MODEL [--vocabulary 50000]     of the folder MODEL the tokenizer alone is used

A random Llama of 256 x 4 reads the same 16 pairs; every allocation of forward and backward pass is counted, so that
the figures are exact and the machine may be busy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from bench.align import PAIRS, SHARED, preferences, said
from datasets import Dataset
from learners import learner
from tiny_run import Rows
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from trl import DPOConfig, DPOTrainer

from llmcycle.align import Preference
from llmcycle.align.losses import DPO
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as Pairs
from llmcycle.model import measure
from llmcycle.model.live import live
from llmcycle.quiet import hush

MB = 1e6
Figures = tuple[float, float]  # activations, and weights of the reference, MB


def model(tokenizer: Any, vocabulary: int) -> LlamaForCausalLM:
    """Of random weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, pad_token_id=tokenizer.pad_token_id, **sizes))


def ours(tokenizer: Any, vocabulary: int, chunk: int | None = None, **options: Any) -> Figures:
    """The objective as the learner calls it, on the first batch."""
    data = Batches(Rows(preferences()[:PAIRS], []), Pairs(256), tokenizer, PAIRS, PAIRS, seed=0, allow=["shared"])
    module = learner(model(tokenizer, vocabulary), Preference(DPO(), **options), loss_chunk=chunk)
    module.objective.begin(module.models, data)
    with live(module) as counter:
        module.loss(data.collate(data.train))[0].backward()
    assert module.models.reference is not None
    return counter.peak / MB, module.models.reference.own_bytes / MB


def trl(tokenizer: Any, vocabulary: int, **options: Any) -> Figures:
    """Its trainer's own loss, on the same pairs."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    rows = [{name: said(role, row[name]) for name, role in roles.items()} for row in preferences()[:PAIRS]]
    with tempfile.TemporaryDirectory() as out:
        sizes = {"per_device_train_batch_size": PAIRS, "max_length": 256}
        config = DPOConfig(**SHARED, **sizes, output_dir=out, **options)
        model(tokenizer, vocabulary).save_pretrained(out)  # the trainer loads its reference from there
        trained = LlamaForCausalLM.from_pretrained(out)
        trainer = DPOTrainer(trained, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    with live(trained) as counter:
        trainer.compute_loss(trained, batch).backward()
    return counter.peak / MB, measure(trainer.ref_model).weights / MB if trainer.ref_model is not None else 0.0


SIDES: dict[str, Callable[..., Figures]] = {
    "trl": trl,
    "trl, reference stored": partial(trl, precompute_ref_log_probs=True),
    "llmcycle": ours,
    "llmcycle, reference stored": partial(ours, reference="stored"),
    "llmcycle, prompts shared": partial(ours, share_prompts=True),
    "llmcycle, chunks of 64 tokens": partial(ours, chunk=64),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--vocabulary", type=int, default=50_000)
    arguments = parser.parse_args()
    hush()
    words = AutoTokenizer.from_pretrained(arguments.model)
    for name, side in SIDES.items():
        activations, reference = side(words, arguments.vocabulary)
        print(f"{name:30} activations {activations:7.0f} MB, reference {reference:4.0f} MB", flush=True)
