"""The headline is the metric that is marked, wherever it stands."""

from __future__ import annotations

from llmcycle.evaluate.metric import Metric, headline, headline_first, led_by

METRICS = {"seconds": Metric(1.0), "match": Metric(0.5), "loss": Metric(2.0)}


def test_the_marked_metric_leads() -> None:
    marked = led_by("match", METRICS)
    assert headline(marked) == "match"
    assert list(headline_first(marked)) == ["match", "seconds", "loss"]
    assert headline(led_by("loss", marked)) == "loss", "a later mark replaces an earlier one"


def test_without_a_mark_the_first_leads() -> None:
    assert headline(METRICS) == "seconds"
    assert headline_first(METRICS) == METRICS
    assert headline({}) is None
    assert headline_first({}) == {}
