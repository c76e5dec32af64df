"""Records of a whole cycle, as a lifecycle would hand them to the report."""

from __future__ import annotations

from llmcycle.evaluate.metric import Metric
from llmcycle.report import RunFacts, StageRecord

FACTS = RunFacts(
    recipe="lifecycle",
    command="llmcycle lifecycle peft@finetune.peft=lora",
    config_sha256="ab" * 32,
    seed=0,
    versions={"torch": "2.13.0", "peft": None},
    git={"commit": "c" * 40, "dirty": True},
    lineage="deploy  2a0f11116b23\n└─ model: align  db483113413b",
)


def samples(stage: str) -> list[dict[str, str]]:
    return [{"prompt": f"What colour is item {i}?", "answer": f"<b>oak</b> | {stage}\nBuy *now*!"} for i in range(8)]


def cycle() -> list[StageRecord]:
    loss = Metric(1.234, None, (1.2, 1.27), "lower", "nats/token", 5000)
    exact = Metric(0.972, 0.41, (0.52, 0.6), "higher", n=500)
    harm = Metric(0.03, 0.41, (-0.44, -0.33), "lower", n=300)
    return [
        StageRecord(
            "pretrain",
            "scratch",
            "248637ec4ee9",
            "outputs/artifacts/pretrain-248637ec4ee9",
            skipped=True,
            metrics={"loss": loss, "entropy": Metric(1.18, unit="nats/token"), "optimizer_steps": Metric(900)},
            samples=samples("pretrain"),
        ),
        StageRecord(
            "finetune",
            "lora",
            "248647ec4ee9",
            "f",
            60.4,
            optimizer_steps=400,
            metrics={"exact_match": exact, "gradients": Metric(123456, 3333333, None, "lower", "bytes")},
            samples=samples("finetune"),
        ),
        StageRecord("reward", "pairs", "65b68ee35e35", "r", 33.0, metrics={"agreement": Metric(0.93, n=48)}),
        StageRecord(
            "align",
            "dpo",
            "db483113413b",
            "a",
            70.0,
            optimizer_steps=150,
            metrics={"dishonest_or_harmful": harm, "known": Metric(0.91, 0.96, (-0.08, -0.02), "higher", n=100)},
            samples=samples("align"),
        ),
        StageRecord(
            "deploy",
            "transformers",
            "2486aaaaaaaa",
            "d",
            22.0,
            metrics={"same_answers": Metric(1.0, None, (0.99, 1.0), "higher", n=300), "p50": Metric(0.21, unit="s")},
            samples=samples("deploy"),
        ),
    ]


def failed() -> list[StageRecord]:
    error = "inputs.model is missing.\nSet it to a folder.\n\nA third line.\nA fourth line."
    return [*cycle()[:3], StageRecord("align", "dpo", seconds=3.0, error=error)]
