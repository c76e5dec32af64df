"""What sets two artifacts apart: settings, metrics on the rows that both answered, and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llmcycle import left
from llmcycle.artifact import Artifact
from llmcycle.evaluate.metric import Metric
from llmcycle.evaluate.scores import pair, read_scores
from llmcycle.report import numbers
from llmcycle.report.record import read_metrics
from llmcycle.report.sweep import render

ANSWERS = 3  # that are shown
ABSENT = "(none)"
BESIDE_CONFIG = ("inputs", "data", "versions")  # of a manifest


def difference(one: Artifact, other: Artifact) -> str:
    """Text for a terminal, a section for each kind of difference."""
    head = ["", one.folder.name, other.folder.name]
    keys = settings(one, other)
    sections = [
        render([head, *keys]) if keys else "no setting differs",
        render([["metric", *head[1:], "difference [95 %]"], *metrics(one, other)]),
        "\n".join(answers(one, other)),
    ]
    return "\n\n".join(filter(None, sections))


def settings(one: Artifact, other: Artifact) -> list[list[str]]:
    """[key, value, other value] of each setting, input, data file or library version that is not the same."""
    first, second = _leaves(one), _leaves(other)
    keys = sorted(first.keys() | second.keys())
    return [[key, first.get(key, ABSENT), second.get(key, ABSENT)] for key in keys if first.get(key) != second.get(key)]


def metrics(one: Artifact, other: Artifact) -> list[list[str]]:
    """[name, value, other value, difference] of each metric that is not the same; paired where rows are known."""
    first, second = read_metrics(one.metrics), read_metrics(other.metrics)
    before, after = read_scores(one.folder), read_scores(other.folder)
    rows = []
    for name in (name for name in first if name in second and first[name].value != second[name].value):
        paired = pair(before[name], after[name]) if name in before and name in after else None
        metric = paired or Metric(second[name].value, first[name].value, None, second[name].better, second[name].unit)
        cells = (numbers.before(metric), numbers.after(metric), numbers.difference(metric))
        rows.append([numbers.title(name, metric), *cells])
    return rows


def answers(one: Artifact, other: Artifact) -> list[str]:
    """How many of the answers to the same prompts changed, and the first of them."""
    first = {json.dumps(sample["prompt"]): sample for sample in left.samples(one.folder)}
    both = [
        (first[key], sample) for sample in left.samples(other.folder) if (key := json.dumps(sample["prompt"])) in first
    ]
    changed = [(x, y) for x, y in both if x["answer"] != y["answer"]]
    if not both:
        return []
    lines = [f"{len(changed)} of {len(both)} answers to the same prompts changed"]
    for x, y in changed[:ANSWERS]:
        lines += [f"  {x['prompt']}", f"    {x['answer']}", f"    {y['answer']}"]
    return lines


def _leaves(artifact: Artifact) -> dict[str, str]:
    """Dotted keys of the configuration, and of what stands beside it, with their values as JSON."""
    manifest = artifact.manifest
    config = {key: value for key, value in manifest.get("config", {}).items() if key != "inputs"}  # by id below
    beside = [leaf for key in BESIDE_CONFIG for leaf in _flat(manifest.get(key) or {}, f"{key}.")]
    return dict([*_flat(config, ""), *beside])


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
