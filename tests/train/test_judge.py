"""Judging while training: it changes nothing, keeps the best weights whatever interrupts, and can stop the run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from tiny_run import STEPS, Stopped, batches, module, run, same
from transformers import PreTrainedTokenizerFast

from llmcycle.engine import TransformersEngine
from llmcycle.evaluate import Scores, read_scores, row_id
from llmcycle.evaluate.exact_match import ExactMatch
from llmcycle.handoff import Safetensors
from llmcycle.train import Checkpoints, EarlyStopping, Judge, Learner, checkpoint_folder, fit
from llmcycle.train.judge import judge_of

ROWS = [row_id(i) for i in range(6)]


class Hill:
    """A score that depends on the weights alone and neither rises nor falls all the way; draws from each generator."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit

    def __call__(self, engine: Any) -> dict[str, Scores]:
        random.random(), np.random.rand(), torch.rand(())
        value = float(sum((p.double() * 600).sin().sum() for p in engine.model.parameters()))
        return {"hill": Scores([value] * 6, rows=ROWS).take(range(len(ROWS))[: self.limit])}


class Scripted:
    """Given scores, one a look, and the weights that each look saw."""

    limit = None

    def __init__(self, *scores: float, better: Any = "higher") -> None:
        self.scores, self.better, self.seen = list(scores), better, list[torch.Tensor]()

    def __copy__(self) -> Scripted:
        return self

    def __call__(self, engine: Any) -> dict[str, Scores]:
        self.seen.append(next(engine.model.parameters()).detach().clone())
        return {"scripted": Scores([self.scores.pop(0)] * 6, self.better, rows=ROWS)}


def judge(**options: Any) -> Judge:
    return Judge(**{"every_n_steps": 2, "rows": 2, "evaluators": {"hill": Hill()}, **options})


def judged(folder: Path, tokenizer: PreTrainedTokenizerFast, accumulate: int = 1, stop: int | None = None) -> Any:
    """A run's module and judge; the best weights are in the module."""
    one = judge()
    trained = run(folder, batches(tokenizer, 0, packed=False), accumulate, stop, every=3, extra=[one])
    one.finish(trained.trainer, trained)
    return trained, one


@pytest.mark.parametrize("accumulate", [1, 2])
def test_judging_changes_nothing_and_survives_interruptions(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, accumulate: int
) -> None:
    plain = run(tmp_path / "plain", batches(tokenizer, 0, packed=False), accumulate)
    whole, known = judged(tmp_path / "whole", tokenizer, accumulate)
    assert whole.losses == plain.losses, "bitwise"
    assert [look["step"] for look in known.history] == [2, 4, 6, 8, 10, 12]
    assert known.best["step"] == max(known.history, key=lambda look: look["hill"])["step"] == 8
    assert not same(whole, plain), "the best weights are not the last"
    for point in (3, 5, 8, 10):
        folder = tmp_path / str(point)
        with pytest.raises(Stopped):
            judged(folder, tokenizer, accumulate, point * accumulate + accumulate // 2)
        again, other = judged(folder, tokenizer, accumulate)
        assert same(again, whole), f"stopped in step {point}"
        assert (other.history, other.best) == (known.history, known.best)


def test_the_file_of_the_best_weights_is_part_of_each_checkpoint(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    whole, known = judged(tmp_path / "whole", tokenizer)
    run(tmp_path / "cut", batches(tokenizer, 0, packed=False), every=3, extra=[judge()])
    newest, older = checkpoint_folder.folders(tmp_path / "cut")
    path = newest / "best.safetensors"
    assert path.samefile(tmp_path / "cut" / "best.safetensors"), "linked: it costs nothing"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.unlink()
    path.write_bytes(data)
    reasons: list[str] = []
    assert checkpoint_folder.newest(tmp_path / "cut", reasons.append).folder == older
    assert "best.safetensors" in reasons[0]
    again, other = judged(tmp_path / "cut", tokenizer)
    assert same(again, whole)
    assert other.best == known.best


def test_a_changed_file_of_the_best_weights_is_not_loaded(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    one = judge()
    trained = run(tmp_path, batches(tokenizer, 0, packed=False), extra=[one])
    (tmp_path / "best.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="not the file of the best weights"):
        one.finish(trained.trainer, trained)


def train_whole(tokenizer: PreTrainedTokenizerFast, out: Path, *extra: pl.Callback, **options: Any) -> Any:
    """`fit` on the tiny run; gives metrics and what was trained."""
    pl.seed_everything(7, verbose=False)
    saving = [Checkpoints(4, keep=2)] if options.get("checkpoints") else []
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings = {"max_steps": STEPS, "limit_val_batches": 0, "accelerator": "cpu", "enable_model_summary": False}
    trainer = pl.Trainer(callbacks=[*extra, *saving], **quiet, **settings)
    trained = module()
    given = {"out": out, "logger": None, **options}
    return fit(trained, batches(tokenizer, 0, packed=False), trainer, **given), trained


def test_the_best_weights_are_handed_on_and_scored_on_other_rows(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    logger = CSVLogger(tmp_path / "logs", name="", version="")
    scripted, final = Scripted(0.5, 0.25, 0.75, 0.75), Hill()
    one = judge(every_n_steps=4, evaluators={"scripted": scripted})
    metrics, trained = train_whole(
        tokenizer, tmp_path / "out", one, evaluators={"hill": final}, logger=logger, checkpoints=tmp_path / "kept"
    )
    assert metrics["best_step"].value == 8, "of equals the earliest"
    assert metrics["judged_scripted"].value == 0.75
    assert metrics["judged_scripted"].before == 0.5
    assert torch.equal(next(trained.model.parameters()), scripted.seen[2])
    assert not torch.equal(scripted.seen[2], scripted.seen[3])
    log = (tmp_path / "logs" / "metrics.csv").read_text().splitlines()
    assert "judged/scripted" in log[0]
    facts = json.loads((tmp_path / "out" / "judging.json").read_text())
    assert [look["scripted"] for look in facts["looks"]] == [0.5, 0.25, 0.75, 0.75]
    assert (facts["best"]["step"], facts["stopped"]) == (8, None)
    assert not (tmp_path / "out" / "best.safetensors").exists()


def test_rows_that_chose_are_not_scored(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    hill = {"hill": Hill()}
    metrics, _ = train_whole(tokenizer, tmp_path / "a", judge(evaluators=None), evaluators=hill)
    assert metrics["hill"].n == 4
    assert read_scores(tmp_path / "a")["hill"].rows == ROWS[2:]
    metrics, _ = train_whole(tokenizer, tmp_path / "b", judge(evaluators=None, keep="last"), evaluators=hill)
    assert metrics["hill"].n == 6
    assert "best_step" not in metrics
    with pytest.raises(ValueError, match=r"callbacks\.judge\.rows=None: all 6 rows of hill choose the best weights"):
        train_whole(tokenizer, tmp_path / "c", judge(rows=None, evaluators=None), evaluators=hill)


class Killed(Safetensors):
    """The process ends where the model would be written."""

    def write(self, *_: Any) -> None:
        raise Stopped


def test_a_run_that_was_killed_after_its_last_step_is_finished(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    given = {"evaluators": {"hill": Hill()}, "checkpoints": tmp_path / "kept"}
    whole, _ = train_whole(tokenizer, tmp_path / "a", judge(), evaluators=given["evaluators"])
    with pytest.raises(Stopped):
        train_whole(tokenizer, tmp_path / "b", judge(), handoff=Killed(), **given)
    again, _ = train_whole(tokenizer, tmp_path / "b", judge(), **given)
    for name in ("hill", "best_step", "judged_hill", "train_loss", "optimizer_steps"):
        assert again[name] == whole[name]


@pytest.mark.parametrize(
    ("options", "evaluators", "message"),
    [
        (
            {"monitor": "other"},
            {"hill": Hill()},
            r"judge\.monitor: no evaluator scores other; choose one of hill",
        ),
        ({}, {"one": lambda engine: {}}, r"evaluate\.one: it has no `limit`"),
        ({}, {}, "nothing to judge with"),
    ],
)
def test_what_can_not_be_judged_is_refused(
    tokenizer: PreTrainedTokenizerFast, options: dict[str, Any], evaluators: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Judge(**options).begin(evaluators, TransformersEngine(module().model, tokenizer))


def test_generated_answers_are_judged(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    data = batches(tokenizer, 0, packed=False)
    one = judge(evaluators={"exact_match": ExactMatch(data.rows)})
    trained = run(tmp_path, data, extra=[one], max_steps=4)
    assert [set(look) for look in one.history] == [{"step", "exact_match"}] * 2
    assert trained.model.training
    assert judge_of(trained.trainer) is one


def stopping(**options: Any) -> EarlyStopping:
    return EarlyStopping(**{"monitor": "judged/scripted", "mode": "max", "patience": 2, **options})


@pytest.mark.parametrize(
    ("scores", "options", "steps", "reason"),
    [
        ([0.1, 0.5, 0.5, 0.5], {}, 8, "judged/scripted has not risen in 2 looks; its best was 0.5"),
        ([0.1, 0.15, 0.18, 0.3], {"min_delta": 0.1}, 6, "has not risen by more than 0.1 in 2 looks; its best was 0.1"),
        ([3.0, 1.0, 2.0, 1.5], {"mode": "min"}, 8, "has not fallen in 2 looks; its best was 1"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], {}, STEPS, ""),
    ],
)
def test_a_run_stops_when_answers_get_no_better(
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scores: list[float],
    options: dict[str, Any],
    steps: int,
    reason: str,
) -> None:
    scripted = Scripted(*scores, better="lower" if options.get("mode") == "min" else "higher")
    one, stop = judge(evaluators={"scripted": scripted}), stopping(**options)
    trained = run(tmp_path, batches(tokenizer, 0, packed=False), extra=[stop, one])
    assert len(trained.losses) == steps
    assert reason in stop.reason
    assert (f"stopped early at step {steps}: " in capsys.readouterr().err) == bool(reason)


def test_a_run_that_stops_early_goes_on_exactly_and_not_beyond(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Interrupted before the stop, and after it was decided and saved."""

    def stop_early(folder: Path, point: int | None = None) -> Learner:
        extra = [judge(), stopping(monitor="judged/hill", min_delta=1e9)]  # nothing improves so much
        return run(folder, batches(tokenizer, 0, packed=False), 1, point, 3, extra)

    whole = stop_early(tmp_path / "whole")
    assert len(whole.losses) == 6
    for point in (3, 4, 5):
        with pytest.raises(Stopped):
            stop_early(tmp_path / str(point), point)
        assert same(stop_early(tmp_path / str(point)), whole)
    assert checkpoint_folder.newest(tmp_path / "whole", print).step == 6
    assert same(stop_early(tmp_path / "whole"), whole), "stopped and saved in the same step: that is its end"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([EarlyStopping()], r"monitor=validation/loss: it needs trainer=validated"),
        ([stopping()], r"monitor=judged/scripted: it needs callbacks=early_stopping_judged"),
        ([stopping(monitor="judged/x"), judge()], r"monitor=judged/x: choose one of judged/hill"),
        ([stopping(monitor="judged/hill", mode="min"), judge()], r"mode=min: judged/hill is better when higher"),
    ],
)
def test_early_stopping_that_would_never_stop_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, extra: list[pl.Callback], message: str
) -> None:
    for one in extra:
        if isinstance(one, Judge):
            one.begin({}, TransformersEngine(module().model, tokenizer))
    with pytest.raises(ValueError, match=message):
        run(tmp_path, batches(tokenizer, 0, packed=False), extra=extra)
