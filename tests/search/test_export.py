"""A sweep file for W&B's agents: what an agent types of it means what was typed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from toy import command

from llmcycle.search.export import parameter, plain
from llmcycle.search.space import Space

MODEL = ("finetune", "inputs.model=o/n")
VALUES = [
    *("null", "true", "false", "0", "1", "-3", "12345678901234567890", "0.5", "1e-3", "1e-05", "1.50", "007", "nan"),
    *(
        "lora",
        "a-b/c.d",
        "'two words'",
        "'it\\'s'",
        "'a,b'",
        "[1,2]",
        "[a,[b,null]]",
        "{a:1,b:{c:x}}",
    ),
    *("''", "'null'", '"${seed}"', "./rows.jsonl", "'ä €'"),
]


def exported(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert command("sweep", "export", *words) == 0
    target, then = capsys.readouterr().out.splitlines()
    assert then == f"next: wandb sweep {target}"
    content: dict[str, Any] = yaml.safe_load(Path(target).read_text("utf-8"))
    return content


def typed_by_agent(name: str, value: object) -> str:
    """As wandb's agent makes an argument without hyphens of a parameter."""
    return f"{name}={value}"


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_as_it_was_typed(value: str) -> None:
    parser = OverridesParser.create()
    (written,) = yaml.safe_load(yaml.safe_dump([plain(value)]))
    back = parser.parse_override(typed_by_agent("key", written)).value()
    before = parser.parse_override(f"key={value}").value()
    assert type(back) is type(before)
    assert back == before or value == "nan"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("tag(log,interval(1e-4,1e-2))", {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}),
        ("interval(0,0.5)", {"distribution": "uniform", "min": 0.0, "max": 0.5}),
        ("range(0.1,0.5,0.1)", {"distribution": "q_uniform", "q": 0.1, "min": 0.1, "max": 0.4}),
        ("range(4,17,4)", {"values": [4, 8, 12, 16]}),
        ("int(interval(1,3))", {"values": [1, 2, 3]}),
        ("int(interval(1,5000))", {"distribution": "int_uniform", "min": 1, "max": 5000}),
        ("lora,dora", {"values": ["lora", "dora"]}),
    ],
)
def test_ranges_are_wandbs(values: str, expected: dict[str, Any]) -> None:
    space = Space.read([OverridesParser.create().parse_override(f"key={values}")])
    assert parameter(space.distributions["key"]) == expected


def test_a_search_becomes_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("search=tpe", "optim.lr=tag(log,interval(1e-4,1e-2))", "peft=lora,dora", "seed=0,1", "trainer.max_steps=5")
    content = exported(capsys, *MODEL, *words, "--to", "wandb")
    assert content["method"] == "bayes"
    assert content["metric"] == {"name": "final/exact_match", "goal": "maximize"}
    assert list(content["parameters"]) == ["optim.lr", "peft", "seed"]
    assert content["parameters"]["seed"] == {"values": [0, 1]}
    fixed = ["inputs.model=o/n", "trainer.max_steps=5"]
    assert content["command"] == ["llmcycle", "finetune", *fixed, "logger=wandb", "${args_no_hyphens}"]
    assert exported(capsys, *MODEL, "peft=lora,dora")["method"] == "grid"
    assert sorted(path.name for path in here.glob("*.yaml")) == ["finetune-wandb-2.yaml", "finetune-wandb.yaml"]


def test_a_metric_has_a_better_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("search=random", "search.metric=general_bits_per_byte", "peft=lora,dora")
    assert exported(capsys, *MODEL, *words)["metric"] == {"name": "final/general_bits_per_byte", "goal": "minimize"}
    of_reward = exported(
        capsys, "rlvr", "inputs.model=o/n", "evaluate=mean_reward", "search=random", "optim.lr=1e-3,2e-3"
    )
    assert of_reward["metric"] == {"name": "final/reward", "goal": "maximize"}
    assert command("sweep", "export", *MODEL, "search=random", "search.metric=nope", "peft=lora,dora") == 2
    assert "try: search.metric=exact_match" in capsys.readouterr().err


def test_what_cannot_run_is_not_exported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("sweep", "export", *MODEL, "optim.lr=1e-3,-1") == 2
    assert command("sweep", "export", *MODEL) == 2
    assert "nothing to sweep" in capsys.readouterr().err
    assert not list(here.glob("*.yaml"))
