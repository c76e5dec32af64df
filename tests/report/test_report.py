"""report.json and what is rendered from it, on a cycle with every kind of stage."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report.cycle import FACTS, cycle, failed

from llmcycle.evaluate.metric import Metric
from llmcycle.report import RunFacts, StageRecord, build, numbers, render_report, write_report
from llmcycle.report.caveats import caveats
from llmcycle.report.curves import charts, in_blocks
from llmcycle.report.numbers import number
from llmcycle.report.tables import metric_rows


class Page(HTMLParser):
    """Tags, attributes and text of a page; unclosed tags are an error."""

    VOID = ("meta",)

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def written(folder: Path, records: list[StageRecord], facts: RunFacts = FACTS) -> dict[str, str]:
    assert write_report(folder, records, facts) == folder / "report.json"
    return {name: (folder / name).read_text("utf-8") for name in ("report.json", "report.md", "page.html")}


def table(markdown: str, section: str) -> list[list[str]]:
    body = markdown.split(f"## {section}\n\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body.splitlines()]


def test_records_survive_json(tmp_path: Path) -> None:
    report = json.loads(written(tmp_path, cycle())["report.json"])
    assert [StageRecord.read(stage) for stage in report["stages"]] == cycle()


def test_numbers_that_are_not_finite_are_null_in_strict_json(tmp_path: Path) -> None:
    records = [StageRecord("a", metrics={"loss": Metric(math.nan, interval=(0.0, math.inf)), "b": Metric(1.0)})]
    text = written(tmp_path, records)["report.json"]
    report = json.loads(text, parse_constant=pytest.fail)
    read = StageRecord.read(report["stages"][0])
    assert math.isnan(read.metrics["loss"].value)
    assert read.metrics["loss"].interval is None
    assert "loss is not a finite number" in " ".join(report["caveats"])


def test_markdown_and_page_come_from_the_json_alone(tmp_path: Path) -> None:
    first = written(tmp_path, cycle())
    (tmp_path / "report.md").unlink()
    (tmp_path / "page.html").unlink()
    render_report(tmp_path / "report.json")
    assert {name: (tmp_path / name).read_text("utf-8") for name in first} == first


def test_markdown_has_a_row_for_every_metric(tmp_path: Path) -> None:
    text = written(tmp_path, cycle())["report.md"]
    rows = table(text, "All metrics")
    assert {len(row) for row in rows} == {9}
    assert len(rows) == 2 + sum(len(record.metrics) for record in cycle())
    assert [row[0] for row in table(text, "Stages")[2:]] == [record.name for record in cycle()], "a headline each"
    align = next(row for row in rows if row[0] == "align")
    assert align == [
        "align",
        "dpo",
        r"dishonest\_or\_harmful ↓",
        "0.410",
        "0.030",
        r"-0.380 \[-0.440, -0.330\]",
        "300",
        "70",
        "db483113413b",
    ]


def test_markdown_puts_the_answers_side_by_side(tmp_path: Path) -> None:
    rows = table(written(tmp_path, cycle())["report.md"], "Answers after each stage")
    assert rows[0] == ["prompt", "pretrain", "finetune", "align", "deploy"], "the reward model writes no text"
    assert len(rows) == 2 + 8
    assert rows[2][0] == "What colour is item 0?"
    assert rows[2][2] == r"&lt;b>oak&lt;/b> \| finetune<br>Buy \*now\*!"


def test_verdict_lineage_command_and_hash_are_told(tmp_path: Path) -> None:
    files = written(tmp_path, cycle())
    report = json.loads(files["report.json"])
    assert report["verdict"] == (
        "finished: 5 stages (1 up to date), 550 optimizer steps, 185 s; headline metrics: 2 better"
    )
    for name in ("report.md", "page.html"):
        for text in (report["verdict"], "└─ model: align", "llmcycle lifecycle peft@finetune.peft=lora", "ab" * 32):
            assert text in files[name]


def test_a_failed_stage_is_shown_with_its_reason(tmp_path: Path) -> None:
    files = written(tmp_path, failed())
    assert json.loads(files["report.json"])["verdict"].startswith("failed at align: 4 stages")
    for name in ("report.md", "page.html"):
        assert "align failed: inputs.model is missing." in files[name]
    assert table(files["report.md"], "Stages")[-1][:3] == ["align", "dpo", "failed"]
    assert 'class="verdict failed"' in files["page.html"]


def test_page_is_one_offline_file(tmp_path: Path) -> None:
    records = [replace(record, samples=[{"prompt": "p" * 500, "answer": "a" * 100_000}] * 8) for record in cycle()]
    html = written(tmp_path, records)["page.html"]
    assert len(html.encode()) < 2_000_000
    page = Page(html)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick", "style"} & {name for name, _ in page.attributes}
    assert "url(" not in html
    assert "://" not in html


def test_page_escapes_what_a_model_wrote(tmp_path: Path) -> None:
    html = written(tmp_path, cycle())["page.html"]
    page = Page(html)
    assert "b" not in page.tags
    assert any("<b>oak</b> | finetune" in text for text in page.text)
    drawn = [metric for record in cycle() for metric in record.metrics.values() if metric.before and metric.interval]
    headlines = [metric for metric in drawn if metric.n in (300, 500)]
    assert page.tags.count("svg") == len(drawn) + len(headlines)


def trained() -> StageRecord:
    """A stage of 60 steps that was interrupted after 30, judged twice, with rows of its own."""
    points = [{"step": s, "loss": 3.0 - s / 40, "lr": 1e-3, "validation/loss": 3.5 - s / 40} for s in range(10, 61, 10)]
    judged = [{"step": 0, "exact_match": 0.25}, {"step": 60, "exact_match": 0.75}]
    rows = [
        {"prompt": "Is <i>it</i> wood?", "expected": "oak", "got": "<b>pine</b>", "score": 0.0, "row": "a"},
        {"prompt": "And this?", "expected": "ash", "got": "ash", "score": 1.0, "row": "b"},
    ]
    curves = {"points": points, "judged": judged, "resumed": [30]}
    return StageRecord("finetune", "lora", curves=curves, own_rows=rows, metrics={"exact_match": Metric(0.75, n=4)})


def test_the_page_draws_what_was_logged_over_the_steps(tmp_path: Path) -> None:
    html = written(tmp_path, [trained()])["page.html"]
    assert html.count("<figure>") == 3, "loss with its validation, the learning rate, the judged score"
    assert html.count("<polyline") == 4
    assert "the run went on from step 30" in html
    assert "loss 2.750 at step 10, 1.500 at step 60" in (tmp_path / "report.md").read_text()


def followed() -> StageRecord:
    """A stage that was stopped when its gold reward had passed its peak."""
    values = [(0.0, 0.5, 1.0), (0.4, 1.5, 1.75), (0.9, 1.0, 2.0)]
    points = [{"kl": kl, "gold": gold, "proxy": proxy, "smoothed": gold} for kl, gold, proxy in values]
    steps = [{"step": step, "loss": 1.0} for step in (10, 20)]
    curves = {"points": steps, "judged": [], "resumed": [], "followed": {"over": "kl", "points": points, "peak": 0.4}}
    return StageRecord("rlvr", "rloo", curves=curves, metrics={"reward": Metric(0.75, n=4)})


def test_a_reward_that_was_followed_is_drawn_over_the_kl(tmp_path: Path) -> None:
    files = written(tmp_path, [followed()])
    assert files["page.html"].count("<figure>") == 3, "proxy, gold and the loss"
    assert files["page.html"].count('class="peak"') == 2
    assert "the weights of kl 0.400 are handed on" in files["page.html"]
    told = "gold 0.500 at the start, 1.500 at its peak, 0.400 nats away, 1.000 at last; proxy 1.000, 1.750, 2.000"
    assert told in files["report.md"]


def test_the_scorecard_has_a_dash_where_a_stage_did_not_measure(tmp_path: Path) -> None:
    bits = Metric(1.1, 1.0, (0.05, 0.15), "lower", "bits/byte", 100)
    good = {"helpful": Metric(0.6, 0.3, (0.25, 0.35), "higher", n=300), "over_refusal": Metric(0.0, n=100)}
    truthful = Metric(0.25, None, (0.22, 0.28), "higher", n=817)
    stages = [
        StageRecord("reward", metrics={"preference_accuracy": Metric(0.7, n=100)}),
        StageRecord("finetune", metrics={"exact_match": Metric(0.9, n=100), "general_bits_per_byte": bits}),
        StageRecord("align", metrics=good),
        StageRecord("real", metrics={"truthful": truthful}),
    ]
    plain = written(tmp_path, stages)["report.md"].replace("\\", "")
    header, _, tuned, aligned, real = table(plain, "Scorecard")
    assert header == [
        *("stage", "helpful ↑", "honest", "harmless", "over-refusal", "known facts", "bits a byte ↓", "truthful ↑"),
    ]
    assert tuned == ["finetune", *"-----", "1.000 → 1.100<br>+0.100 [+0.050, +0.150]<br>n 100", "-"]
    assert aligned[1] == "0.300 → 0.600<br>+0.300 [+0.250, +0.350]<br>n 300"
    assert aligned[4:] == ["0.000<br>n 100", "-", "-", "-"]
    assert real[7] == "0.250<br>[0.220, 0.280]<br>n 817"
    assert "Scorecard" not in written(tmp_path, cycle())["report.md"], "nothing on it was measured"


def test_every_number_on_the_page_is_in_the_records(tmp_path: Path) -> None:
    """Figures of the charts and of the tables, but for places in a drawing."""
    report = json.loads(written(tmp_path, [*cycle(), trained()])["report.json"])
    known = {cell for record in [*cycle(), trained()] for row in metric_rows([record]) for cell in row.cells}
    for record in [*cycle(), trained()]:
        for chart in charts(record.curves):
            for values in ([v for line in chart for v in line.values], [s for line in chart for s, _ in line.points]):
                known |= {number(min(values)), number(max(values)), f"step {min(values):.0f}", f"{max(values):.0f}"}
    told = set(re.split(r"[^\w.%+-]+", json.dumps(report, ensure_ascii=False)))
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    figures = [text.strip() for text in page.text if re.search(r"\d", text) and "{" not in text]
    words = {word for text in figures if text not in known for word in re.split(r"[^\w.%+-]+", text)}
    counts = {str(len(record.metrics)) for record in [*cycle(), trained()]}
    assert len(figures) > 60
    assert {word for word in words if re.search(r"\d", word)} - told - counts <= {"sha256"}


def test_a_curve_in_blocks_falls_and_is_as_wide_as_asked() -> None:
    lines = in_blocks([10 - i / 10 for i in range(100)], 20, lines=2)
    assert len(lines[1]) == 20
    assert lines[0].startswith("█")
    assert lines[-1].endswith("▁")
    assert len(lines[0]) < 20, "its end is low"
    assert in_blocks([1.0, 1.0], 20, lines=1) == ["▁▁"]


def test_own_rows_are_shown_and_escaped(tmp_path: Path) -> None:
    files = written(tmp_path, [trained()])
    rows = table(files["report.md"], "Own rows")
    assert [row[-1] for row in rows[2:]] == ["wrong", "right"]
    page = Page(files["page.html"])
    assert not {"b", "i"} & set(page.tags)
    assert {"Is <i>it</i> wood?", "<b>pine</b>", "oak"} <= set(page.text)


def test_answers_that_were_learnt_from_are_shown_with_their_rewards(tmp_path: Path) -> None:
    drawn = [{"step": n, "prompt": "Why?", "answer": f"<b>{n}</b>", "right": n / 40, "short": -1.0} for n in range(40)]
    files = written(tmp_path, [StageRecord("rlvr", drawn=drawn)])
    rows = table(files["report.md"], "Answers rlvr learnt from")
    assert rows[0] == ["step", "prompt", "answer", "right", "short"]
    assert [row[0] for row in rows[2:]] == [str(n) for n in (*range(8), *range(32, 40))], "the first and the last ones"
    assert rows[-1][3:] == ["0.975", "-1"]
    page = Page(files["page.html"])
    assert "b" not in page.tags
    assert {"<b>0</b>", "<b>39</b>"} <= set(page.text)


def test_prompts_may_be_messages(tmp_path: Path) -> None:
    samples = [{"prompt": [{"role": "user", "content": "Hello?"}], "answer": "Hi"}]
    rows = table(written(tmp_path, [StageRecord("finetune", samples=samples)])["report.md"], "Answers after each stage")
    assert rows[2] == ["Hello?", "Hi"]


def test_no_stage_at_all_is_a_report_too(tmp_path: Path) -> None:
    assert "finished: 0 stages" in written(tmp_path, [])["report.md"]


@pytest.mark.parametrize(
    ("metric", "judgement"),
    [
        (Metric(0.5, 0.4, (0.05, 0.15), "higher"), "better"),
        (Metric(0.5, 0.4, (0.05, 0.15), "lower"), "worse"),
        (Metric(0.4, 0.5, (-0.15, -0.05), "lower"), "better"),
        (Metric(0.5, 0.4, (-0.01, 0.2), "higher"), "unclear"),
        (Metric(0.5, 0.4, (0.0, 0.2), "higher"), "unclear"),
        (Metric(0.5, 0.4, (0.05, 0.15), "neutral"), "measured"),
        (Metric(0.5, None, (0.4, 0.6), "higher"), "measured"),
        (Metric(0.5, 0.4, None, "higher"), "measured"),
    ],
)
def test_judge(metric: Metric, judgement: str) -> None:
    assert numbers.judge(metric) == judgement


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.97248, "", "0.972"),
        (1.0, "", "1.000"),
        (500, "", "500"),
        (0, "", "0"),
        (12345.6, "tokens/s", "12346"),
        (0.00012, "", "1.20e-04"),
        (3_400_000, "bytes", "3.40 MB"),
        (-2_500, "bytes", "-2.50 kB"),
        (12, "bytes", "12 B"),
        (math.nan, "", "not a number"),
        (-math.inf, "", "infinite"),
    ],
)
def test_number(value: float, unit: str, text: str) -> None:
    assert numbers.number(value, unit) == text


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric(0.972, 0.41, (0.52, 0.6)), "+0.562 [+0.520, +0.600]"),
        (Metric(0.9, 0.972, (-0.1, 0.01)), "-0.072 [-0.100, +0.010]"),
        (Metric(0.9, 0.9), "0.000"),
        (Metric(0.9, None, (0.8, 0.95)), "[0.800, 0.950]"),
        (Metric(900_000, 3_400_000, None, unit="bytes"), "-2.50 MB"),
        (Metric(0.9), ""),
    ],
)
def test_difference(metric: Metric, text: str) -> None:
    assert numbers.difference(metric) == text


def found(metric: Metric | None = None, **facts: Any) -> str:
    records = [StageRecord("stage", metrics={"em": metric} if metric else {})]
    clean = RunFacts("r", "c", git={"commit": "a" * 40, "dirty": False})
    return " ".join(caveats(records, replace(clean, **facts)))


def test_caveats_are_found_by_rule() -> None:
    assert found() == found(Metric(0.9, None, (0.88, 0.92), n=500)) == ""
    assert "few rows: 99" in found(Metric(0.9, n=99))
    assert "wide" in found(Metric(0.9, None, (0.8, 0.95)))
    assert "wide" not in found(Metric(0.9, None, (0.85, 0.95)))
    assert "wide" in found(Metric(1.5, None, (1.2, 1.8), unit="nats/token"))
    assert "wide" not in found(Metric(1.5, None, (1.4, 1.6), unit="nats/token"))
    assert "got worse" in found(Metric(0.8, 0.9, (-0.12, -0.08), "higher"))
    assert "dirty git tree" in found(git={"commit": "a" * 40, "dirty": True})
    assert "did not start from a git checkout" in found(git=None)
    assert "one seed (3)" in found(seed=3)


def test_build_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert build(cycle(), FACTS)["format"] == 1
    assert list(tmp_path.iterdir()) == []
