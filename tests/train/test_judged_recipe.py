"""The shipped options together: fine-tuning judged and stopped early, and what it leaves for comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import save_chatting
from pytorch_lightning import seed_everything

from llmcycle.building import build
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.data.chat import MARKER_TEMPLATE
from llmcycle.evaluate import read_scores

OVERRIDES = [
    *(
        "inputs.model=base",
        "world.products=6",
        "encode.max_length=160",
        "batches.batch_size=2",
        "batches.eval_batch_size=2",
    ),
    *("trainer.max_steps=8", "callbacks=early_stopping_judged", "callbacks.judge.every_n_steps=1"),
    *("callbacks.judge.rows=3", "callbacks.early_stopping.patience=2"),
    *("evaluate.exact_match.limit=8", "evaluate.forgetting.limit=6"),
]


@pytest.mark.slow
def test_a_judged_fine_tuning(here: Path) -> None:
    save_chatting(Path("base"), MARKER_TEMPLATE)
    root = compose(locate("finetune"), OVERRIDES)
    root.samples = None
    seed_everything(root.seed, verbose=False)
    stage = build(Stage(root))
    metrics = stage(out=here / "out", logger=None, checkpoints=here / "kept")
    assert metrics["optimizer_steps"].value == 3, "a model that never answers right stops after the first look and two"
    assert metrics["best_step"].value == 1
    assert (metrics["exact_match"].n, metrics["general_bits_per_byte"].n) == (5, 3), "rows that chose are left out"
    assert all(metrics[name].interval for name in ("exact_match", "general_bits_per_byte", "validation_loss"))
    facts = json.loads((here / "out" / "judging.json").read_text())
    assert facts["stopped"] == "judged/exact_match has not risen in 2 looks; its best was 0"
    scores = read_scores(here / "out")
    assert set(scores) >= {"exact_match", "general_bits_per_byte"}
    assert scores["exact_match"].mean == metrics["exact_match"].value
    assert len(scores["exact_match"].rows) == 5
