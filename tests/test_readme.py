"""Every command of the README does what it says: recipes pass their check, refusals are refused in its words, and the
verbs are run. What can't be run here stands in one table with its reason."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import matrix
import pytest
import toy
from conftest import save_chatting
from toy import command

from llmcycle.command_line import VERBS
from llmcycle.config import groups
from llmcycle.config.compose import arms
from llmcycle.evaluate import Metric, Scores, write_scores

pytestmark = pytest.mark.slow

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
# Commands that no test can run, by how they begin, and why.
ELSEWHERE = {
    "python3 -m venv .venv": "it makes the environment that these tests run in",
    ".venv/bin/pip install": "it needs the network",
    ".venv/bin/python -m pytest": "these tests",
    "llmcycle arena": "it needs two models, or an endpoint: tests/arena/test_contest.py",
}
MODEL = "finetune inputs.model=ID"
# Overrides that the text names alone: the command that each is put behind, by how it begins.
BEHIND = {
    "search=halving": f"{MODEL} callbacks=judged optim.lr=1e-4,2e-4",
    "quant=": "compress inputs.model=ID",
    "prune=": "compress inputs.model=ID",
    '"module.frozen': f"{MODEL} peft=none",
    "batches=streamed": "pretrain data=corpus 'data.sources={own: corpus.txt}'",
    "data=corpus": "pretrain 'data.sources={own: corpus.txt}'",
    "data=mixture": f"{MODEL} +data@data.sources.own=storefront_instructions",
    "data.": f"{MODEL} data=json data.train=rows.jsonl data.columns.completion=answer data.columns.prompt=question",
    "encode=assistant": f"{MODEL} data=chat data.train=chats.jsonl",
    "loss.kl_in": "rlvr inputs.model=ID",
}
# Names of verbs and recipes, beside what they do: no whole commands.
NAMES = ("llmcycle compare", "llmcycle data", "llmcycle reward")
# What stands for a word in capitals, and for a value that is left open.
FILLED = {
    "[RULE]": "[labels]",
    "optim.lr=": "optim.lr=1e-4",
    "resume=FOLDER": "resume=never",
    "search=": "search=tpe optim.lr=1e-4,2e-4",
}
PLACES = {
    "inputs.reward=ID": "inputs.reward=scorer",
    "inputs.rows=ID": "inputs.rows=constituted",
    "STAGE-ID": "MADE",
    "RECIPE": "finetune",
    "outputs/finetune/RUN": "tuned",
    "feedback/preferences.jsonl": "pairs.jsonl",
    "outputs/prompt/RUN": "prompted",
}
ARMS = 1  # of a sweep that are checked here: each option passes its check in tests/test_shipped.py


@dataclass(frozen=True)
class Line:
    """A command, and what the README shows that it answers."""

    typed: str
    answer: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.typed


def blocks() -> Iterator[Line]:
    """The commands of the blocks; those that are chained, one by one."""
    for language, body in re.findall(r"```(bash|console)\n(.*?)```", README, re.DOTALL):
        starts = [0, *(match.start() for match in re.finditer(r"\n", body))] if language == "bash" else []
        starts = starts or [match.start() for match in re.finditer(r"^\$ ", body, re.MULTILINE)]
        for start, end in pairwise([*starts, len(body)]):
            line, *shown = body[start:end].strip().splitlines() or [""]
            for typed in line.removeprefix("$ ").partition("  #")[0].split(" && "):
                if typed:
                    yield Line(typed.strip().replace(".venv/bin/llmcycle", "llmcycle"), tuple(shown))


def inline() -> Iterator[Line]:
    """The commands and the overrides that stand in the text."""
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    for words in sorted(set(re.findall(r"`([^`\n]+)`", text))):
        if words.startswith("llmcycle ") and words not in NAMES:
            yield Line(words)
        elif re.fullmatch(r"\"?[a-z_.@]+=[^ ]*", words):
            yield Line(f"llmcycle {behind(words)} {words}")


def behind(override: str) -> str:
    return next((before for start, before in BEHIND.items() if override.startswith(start)), MODEL)


LINES = [line for line in blocks() if not line.typed.startswith(tuple(ELSEWHERE))]
TEXT = [line for line in inline() if line.typed not in {each.typed for each in LINES}]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the README names: models, rows, runs, and a store with two artifacts."""
    folder = tmp_path_factory.mktemp("desk")
    save_chatting(folder / "ID")
    matrix.models(folder)
    files(folder)
    for name in ("tuned", "prompted"):
        a_run(folder / name)
    return folder


def files(folder: Path) -> None:
    """The data files, small."""
    pairs = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}."} for n in range(120)]
    matrix.lines(folder / "rows.jsonl", [dict(row) for row in pairs])
    chats = [[("user", row["question"]), ("assistant", row["answer"])] for row in pairs]
    matrix.lines(folder / "chats.jsonl", [{"messages": [{"role": r, "content": c} for r, c in chat]} for chat in chats])
    choices = {"options": "A. Two\nB. Six", "answer": "A. Two"}
    matrix.lines(folder / "piqa.jsonl", [{"question": row["question"], **choices} for row in pairs])
    for name in ("more.txt", "corpus.txt", "tinyshakespeare.txt"):
        (folder / name).write_text("\n\n".join(f"{r['question']} {r['answer']}" * 3 for r in pairs), "utf-8")
    answers = [{"prompt": row["question"], "chosen": row["answer"], "rejected": "No."} for row in pairs]
    for name in ("pairs.jsonl", "gold.jsonl"):
        matrix.lines(folder / name, [dict(row) for row in answers])
    (folder / "constituted").mkdir()
    revised = [{"prompt": row["question"], "completion": row["answer"]} for row in pairs]
    matrix.lines(folder / "constituted" / "revisions.jsonl", [dict(row) for row in revised])
    matrix.lines(folder / "constituted" / "preferences.jsonl", [{**row, "margin": 1.0} for row in answers])
    (folder / "web").mkdir()
    with gzip.open(folder / "web" / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": f"{row['question']} {row['answer']}"}) + "\n" for row in pairs)


def a_run(folder: Path) -> None:
    """What `compare` reads of a run of one stage."""
    metrics = {
        "exact_match": asdict(Metric(0.5, 0.1, None, "higher", n=24)),
        "trainable_parameters": asdict(Metric(9)),
    }
    stage = {"name": "finetune", "method": folder.name, "folder": "x", "error": None, "metrics": metrics}
    (folder / "finetune").mkdir(parents=True)
    write_scores(folder / "finetune", {"exact_match": Scores([0.0, 1.0] * 12, rows=[f"{n:016x}" for n in range(24)])})
    (folder / "report.json").write_text(json.dumps({"run": {"overrides": []}, "stages": [stage]}))


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Work there, without a network, with the toy cycle's artifacts in the store; long sweeps are thinned."""
    monkeypatch.setattr("llmcycle.config.allow._extra", {"toy"})
    monkeypatch.setattr("llmcycle.config.sweeps.arms", thinned)
    monkeypatch.delenv("LLMCYCLE_OUTPUTS", raising=False)
    monkeypatch.chdir(desk)
    if not toy.artifacts():
        (desk / "toy").mkdir()
        toy.lay_out(desk / "toy")
        monkeypatch.chdir(desk / "toy")
        assert command("recipes/toy.yaml", f"outputs={desk / 'outputs'}") == 0
        monkeypatch.chdir(desk)
        capsys.readouterr()
    return desk


def thinned(recipe: Path, overrides: list[str]) -> list[list[str]]:
    every = arms(recipe, overrides)
    return every[-ARMS:]


def filled(typed: str) -> list[str]:
    """The words of a command, with what stands here in the place of words in capitals."""
    for old, new in PLACES.items():
        typed = typed.replace(old, new)
    ending = next((end for end in FILLED if typed.endswith(end)), "")
    typed = typed.removesuffix(ending) + FILLED.get(ending, "")
    (made,) = (name for name in toy.artifacts() if name.startswith("second"))
    words = [word.replace("MADE", made) for word in shlex.split(typed)[1:]]
    return [made if word == "ID" and words[0] in ("lineage", "show", "diff", "tag") else word for word in words]


def to_run(words: list[str]) -> list[str]:
    """A recipe is only checked; verbs, help and what is refused before a run are typed as they stand."""
    return words if words[0] in VERBS or "--help" in words else ["check", *words]


def answer(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and everything printed. A server is not started, only called for; a chat's user says nothing."""
    served: list[Path] = []
    monkeypatch.setattr("llmcycle.deploy.serve", lambda folder, **_: served.append(folder))
    monkeypatch.setattr("llmcycle.feedback.start.serve", lambda *_: None)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    code = command(*words)
    assert served or words[0] != "serve"
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("line", [line for line in LINES if not line.answer], ids=str)
def test_a_command_of_a_block_works(
    at_desk: Path, line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(to_run(filled(line.typed)), monkeypatch, capsys)
    assert code == 0, said


@pytest.mark.parametrize("line", [line for line in LINES if line.answer], ids=str)
def test_a_refusal_is_in_the_words_that_are_shown(
    at_desk: Path, line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(filled(line.typed), monkeypatch, capsys)
    assert (code, said.splitlines()) == (2, list(line.answer))


@pytest.mark.parametrize("line", TEXT, ids=str)
def test_a_command_or_an_override_of_the_text_works(
    at_desk: Path, line: Line, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = filled(line.typed)
    Path("mine.yaml").unlink(missing_ok=True)
    if words[0] == "./mine.yaml":
        assert command("cp", "finetune", "mine.yaml") == 0
        words.append("inputs.model=ID")
    code, said = answer(to_run(words), monkeypatch, capsys)
    assert code == 0, said


def test_the_table_of_what_is_not_run_names_what_is_there() -> None:
    typed = [line.typed for line in blocks()]
    assert not [start for start in ELSEWHERE if not any(each.startswith(start) for each in typed)]
    assert not [start for start in (*BEHIND, *FILLED) if start not in README]
    assert not [words for words in (*PLACES, *(f"`{name}`" for name in NAMES)) if words not in README]


def test_every_verb_stands_in_the_readme() -> None:
    typed = {shlex.split(line.typed)[1] for line in (*blocks(), *TEXT) if line.typed.startswith("llmcycle")}
    assert set(VERBS) <= typed


def test_the_number_of_methods_is_that_of_their_files() -> None:
    (number,) = re.findall(r"any of (\d+) PEFT methods", README)
    assert len(set(groups()["peft"]) - {"none"}) == int(number)
