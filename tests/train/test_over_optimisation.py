"""A policy that follows a flawed reward is stopped at the peak of a second one, whatever interrupts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import enumerable
import pytest
from enumerable import distribution, flawed
from tiny_run import Rows, Stopped, batches, run, same
from transformers import PreTrainedTokenizerFast

from llmcycle import left
from llmcycle.evaluate import row_id
from llmcycle.train import OverOptimisation
from llmcycle.train.over_optimisation import digests

STEPS = 200


def test_a_planted_flaw_stops_the_policy_at_the_peak_of_the_gold_reward(tmp_path: Path) -> None:
    gold, proxy = flawed()
    metrics, model, path = enumerable.followed(tmp_path, proxy, gold, 0, STEPS, every_n_steps=2)
    exact = [(place.exp() * gold).sum().item() for place in path.places]
    best, stopped = metrics["best_step"].value, metrics["optimizer_steps"].value
    handed = (distribution(model).exp() * gold).sum().item()
    assert handed == pytest.approx(exact[int(best)], abs=1e-4), "the weights of that step are handed on"
    assert handed >= 0.95 * max(exact)
    assert best < stopped < 40
    assert exact[-1] < 0.9 * max(exact), "it has passed the peak"
    assert metrics["judged_gold"].before < metrics["judged_gold"].value
    facts = json.loads((tmp_path / "judging.json").read_text())
    assert facts["by"] == "over_optimisation"
    assert facts["stopped"].startswith("the gold reward has fallen by ")
    points = left.curves(tmp_path)["followed"]["points"]
    start = distribution(enumerable.reference(0))
    for look, place in zip(points, path.places[::2], strict=False):
        kl = (place.exp() * (place - start)).sum().item()
        told = ((place.exp() * values).sum().item() for values in (gold, proxy))
        assert (look["gold"], look["proxy"]) == pytest.approx(tuple(told), abs=0.5), "256 draws"
        assert look["kl"] == pytest.approx(kl, abs=0.25)
    assert not list(tmp_path.glob("look-*"))


def test_a_reward_without_a_flaw_is_followed_to_the_end(tmp_path: Path) -> None:
    gold, _ = flawed()
    metrics, model, path = enumerable.followed(tmp_path, gold, gold, 0, 24, every_n_steps=4)
    assert metrics["optimizer_steps"].value == 24
    exact = [(place.exp() * gold).sum().item() for place in path.places]
    assert (distribution(model).exp() * gold).sum().item() >= 0.95 * max(exact)
    assert json.loads((tmp_path / "judging.json").read_text())["stopped"] is None


ASKED = [{"prompt": f"ab {number}"} for number in range(4)]


def letters(prompts: Any, completions: Any, **_: Any) -> list[float]:
    """A reward that the weights alone decide, through what they draw."""
    return [sum(map(ord, text)) % 97 / 97 for text in completions]


def test_an_interrupted_run_finds_the_same_peak(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    def watched(folder: Path, stop: int | None = None) -> tuple[Any, OverOptimisation]:
        watch = OverOptimisation(
            Rows([], ASKED), letters, proxy=letters, every_n_steps=2, rows=4, max_new_tokens=3, patience=1e-3
        )
        watch.patience = 1e9 if stop is not None or folder.name != "ends" else 1e-3
        data = batches(tokenizer, 0, packed=False)
        trained = run(folder, data, 1, stop, every=3, extra=[watch])
        watch.finish(trained.trainer, trained)
        return trained, watch

    plain = run(tmp_path / "plain", batches(tokenizer, 0, packed=False))
    whole, known = watched(tmp_path / "whole")
    assert whole.losses == plain.losses, "to look changes nothing"
    assert [look["step"] for look in known.history] == [0, 2, 4, 6, 8, 10, 12]
    assert known.history[0]["kl"] == pytest.approx(0, abs=1e-5)
    for point in (3, 5, 8):
        with pytest.raises(Stopped):
            watched(tmp_path / str(point), point)
        again, other = watched(tmp_path / str(point))
        assert same(again, whole), f"stopped in step {point}"
        assert (other.history, other.golds, other.best) == (known.history, known.golds, known.best)
    ended, watch = watched(tmp_path / "ends")
    assert watch.reason
    assert len(ended.losses) < len(plain.losses)


def test_rows_that_find_the_peak_are_known_by_every_name_that_an_evaluator_may_have_for_them() -> None:
    row = {"prompt": "?", "answer": "a", "kind": "known"}
    assert digests(row) >= {row_id("?", "a"), row_id("?", "")}
    assert row_id("?", "good", "bad") in digests({"prompt": "?", "chosen": "good", "rejected": "bad"})


def test_a_window_has_a_middle() -> None:
    with pytest.raises(ValueError, match="try: window=5"):
        OverOptimisation(Rows([], ASKED), letters, window=4)
