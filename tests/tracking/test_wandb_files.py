"""What W&B would show, read back from its offline files: of sweeps, life cycles, interruptions, reruns and agents."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import learning
import pytest
from offline import Offline, by_kind, read, runs

pytestmark = pytest.mark.slow  # each is a process or two

# As they are typed, and as W&B has to have them.
TYPED = {
    "whole": ("3", 3),
    "negative": ("-7", -7),
    "large": ("1234567890123", 1234567890123),
    "zero": ("0", 0),
    "point": ("0.25", 0.25),
    "scientific": ("3e-5", 3e-5),
    "small": ("1.5e-08", 1.5e-08),
    "yes": ("true", True),
    "no": ("false", False),
    "nothing": ("null", None),
    "word": ("cosine", "cosine"),
    "digits": ("'007'", "007"),
    "version": ("'1.10'", "1.10"),
    "empty": ("''", ""),
    "blanks": ("'two words'", "two words"),
    "letters": ("'Grüße'", "Grüße"),
    "path": ("a/b.txt", "a/b.txt"),
    "numbers": ("[1,2.5,3]", [1, 2.5, 3]),
    "words": ("[q_proj,v_proj]", ["q_proj", "v_proj"]),
    "mapping": ("{a:1,b:{c:true}}", {"a": 1, "b": {"c": True}}),
}


@pytest.fixture
def cycle(here: Path) -> Path:
    """A working directory with a life cycle that learns nothing."""
    learning.lay_out(here)
    return here


def one(folder: Path = Path("outputs")) -> Offline:
    (run,) = runs(folder)
    return run


def test_a_sweep_of_four_is_four_runs_of_one_group_named_by_what_is_swept(cycle: Path) -> None:
    done = learning.run("recipes/start.yaml", "-m", "stage.rate=0.1,0.2", "stage.steps=2,3", "logger=wandb")
    assert done.returncode == 0, done.stderr
    every = runs(Path("outputs"))
    names = {f"stage.rate={rate} stage.steps={steps}": (rate, steps) for rate in (0.1, 0.2) for steps in (2, 3)}
    assert sorted(each.run.display_name for each in every) == sorted(names)
    assert len({each.run.run_id for each in every}) == 4
    (group,) = {each.run.run_group for each in every}
    assert group == f"start/{next(Path('outputs/start').iterdir()).name}"
    assert {each.run.job_type for each in every} == {"start"}
    for each in every:
        rate, steps = names[each.run.display_name]
        assert (each.config["stage"]["rate"], each.config["stage"]["steps"]) == (rate, steps)
        assert f"stage.rate={rate}" in each.config["typed"]["overrides"]
        assert each.curve("start/train/loss") == [(step, rate / (step + 1)) for step in range(steps)]
    digests = [artifact.digest for each in every for artifact in each.artifacts(used=False).values()]
    assert len(set(digests)) == 4, "W&B makes one version of artifacts with one digest"
    assert done.stdout.count("wandb sync ") == 1


def test_a_life_cycle_is_a_run_a_stage_in_one_group_with_lineage_from_the_data_to_the_end(cycle: Path) -> None:
    done = learning.run("recipes/whole.yaml", "logger=wandb")
    assert done.returncode == 0, done.stderr
    stages = {each.run.job_type: each for each in runs(Path("outputs"))}
    assert list(stages) == ["start", "tuned", "again"]
    assert {each.run.display_name for each in stages.values()} == set(stages)
    assert len({(each.run.run_group, each.run.project) for each in stages.values()}) == 1
    assert [each.kinds["exit"][-1].exit_code for each in stages.values()] == [0, 0, 0]
    made = {name: each.artifacts(used=False) for name, each in stages.items()}
    used = {name: each.artifacts(used=True) for name, each in stages.items()}
    assert {path.name for path in Path("outputs/artifacts").glob("*-*")} == {
        label.replace(":", "-") for each in made.values() for label in each
    }
    assert list(used["start"]) == ["rows.txt"]
    assert used["start"]["rows.txt"].type == "dataset"
    for before, after in (("start", "tuned"), ("tuned", "again")):
        assert used[after].keys() == made[before].keys()
        ((out, into),) = zip(made[before].values(), used[after].values(), strict=True)
        assert (out.type, out.name, out.digest) == (into.type, into.name, into.digest), "one node of W&B's graph"
    assert stages["tuned"].table("tuned/samples") == [{"prompt": "What is it?", "before": "0.5", "after": "0.25"}]
    (row,) = stages["tuned"].table("tuned/own_rows")
    assert (row["expected"], row["got"]) == ("so", "thus")
    assert stages["tuned"].curve("tuned/train/loss")[0] == (0, 0.25)
    glob = next(words for line in done.stdout.splitlines() if (words := line.partition("wandb sync ")[2]))
    assert len(list(cycle.glob(glob))) == 3, "the line that is printed uploads all three"


def test_values_are_of_the_kind_that_was_typed(cycle: Path) -> None:
    assert len(TYPED) == 20
    typed = [f"+stage.settings.{key}={value}" for key, (value, _) in TYPED.items()]
    done = learning.run("recipes/start.yaml", *typed, "logger=wandb")
    assert done.returncode == 0, done.stderr
    settings = one().config["stage"]["settings"]
    for key, (_, meant) in TYPED.items():
        assert (key, settings[key], type(settings[key])) == (key, meant, type(meant))
    assert one().config["typed"]["recipe"]["stage"]["data"] == "${..data}", "as it is written"
    assert one().config["stage"]["data"]["train"] == "rows.txt", "as it is"


def test_a_killed_run_goes_on_in_the_same_run(cycle: Path) -> None:
    command = ("recipes/start.yaml", "logger=wandb")
    assert learning.run(*command, LEARNING_KILL="1").returncode == -signal.SIGKILL
    (first,) = Path("outputs").rglob("*.wandb")
    done = learning.run(*command)
    assert done.returncode == 0, done.stderr
    (second,) = [path for path in Path("outputs").rglob("*.wandb") if path.name == first.name and path != first]
    before, after = (Offline(path.parent, by_kind(path)) for path in (first, second))
    assert before.run.run_id == after.run.run_id
    curve = before.curve("start/train/loss") + after.curve("start/train/loss")
    assert curve == [(step, 0.5 / (step + 1)) for step in range(4)]
    assert list(after.artifacts(used=False))
    assert not list(Path("outputs/artifacts/.unfinished").iterdir())
    glob = next(words for line in done.stdout.splitlines() if (words := line.partition("wandb sync ")[2]))
    both = {path.resolve() for path in cycle.glob(shlex.split(glob)[0])}
    assert both == {path.parent.resolve() for path in (first, second)}, "what is printed uploads both parts"


def test_what_is_up_to_date_is_a_link_to_the_run_that_made_it(cycle: Path) -> None:
    command = ("recipes/whole.yaml", "logger=wandb")
    assert learning.run(*command).returncode == 0
    makers = {each.run.job_type: each for each in runs(Path("outputs"))}
    assert learning.run(*command).returncode == 0
    links = {each.run.job_type: each for each in runs(Path("outputs"))[3:]}
    assert len({each.run.run_group for each in links.values()}) == 1
    for name, link in links.items():
        maker = makers[name]
        assert link.config["up_to_date"] is True
        assert link.config["made_by"]["id"] == maker.run.run_id != link.run.run_id
        assert maker.run.run_id in link.run.notes
        assert not link.curve(f"{name}/train/loss")
        assert not link.artifacts(used=False)
        assert [each.digest for each in link.artifacts(used=True).values()] == [
            each.digest for each in maker.artifacts(used=False).values()
        ]
        final = {key: value for key, value in maker.summary.items() if key.startswith("final/exact")}
        assert final.items() <= link.summary.items()


def test_what_was_made_without_wandb_is_logged_once_it_is_asked_for(cycle: Path) -> None:
    assert learning.run("recipes/start.yaml").returncode == 0
    assert learning.run("recipes/start.yaml", "logger=wandb").returncode == 0
    run = one()
    assert (run.config["up_to_date"], run.config["made_by"]) == (True, {})
    assert len(run.artifacts(used=False)) == 1


@pytest.mark.parametrize("recipe", ["start", "whole"])
def test_under_an_agent_each_stage_has_its_run_and_the_last_is_the_agents(recipe: str, cycle: Path) -> None:
    parameters = {"wandb_version": 1, "seed": {"value": 3}, "outputs": {"value": "outputs"}}
    Path("parameters.yaml").write_text(json.dumps(parameters))
    agent = {
        **{"WANDB_SWEEP_ID": "sweep0", "WANDB_RUN_ID": "agents", "WANDB_PROJECT": "theirs", "WANDB_ENTITY": "team"},
        "WANDB_SWEEP_PARAM_PATH": str(cycle / "parameters.yaml"),
    }
    done = learning.run(f"recipes/{recipe}.yaml", "seed=3", "logger=wandb", **agent)
    assert done.returncode == 0, done.stderr
    every = runs(Path("outputs"))
    assert len({each.run.run_id for each in every}) == len(every) == {"start": 1, "whole": 3}[recipe]
    assert {each.run.run_group for each in every} == {f"{recipe}/sweep0"}
    assert {(each.run.project, each.run.entity) for each in every} == {("theirs", "team")}
    assert {each.run.display_name for each in every} == {"seed=3 outputs=outputs"}
    (own,) = [each for each in every if each.run.sweep_id]
    assert (own.run.run_id, own.run.sweep_id) == ("agents", "sweep0")
    assert own is every[-1], "the one whose metrics the sweep is judged by"
    assert "final/exact" in own.summary


def test_a_failed_stage_is_a_failed_run(cycle: Path) -> None:
    assert learning.run("recipes/start.yaml", "logger=wandb", LEARNING_FAIL="1").returncode == 1
    assert one().kinds["exit"][-1].exit_code == 1
    assert not one().artifacts(used=False)


def test_several_loggers_are_told_the_same(cycle: Path) -> None:
    done = learning.run("recipes/whole.yaml", "logger=[csv,wandb]")
    assert done.returncode == 0, done.stderr
    for each in runs(Path("outputs")):
        stage = each.run.job_type
        (log,) = Path("outputs").glob(f"whole/*/logs/{stage}/metrics.csv")
        names, *rows = log.read_text().splitlines()
        place = names.split(",").index("train/loss")
        assert [float(row.split(",")[place]) for row in rows[:4]] == [
            loss for _, loss in each.curve(f"{stage}/train/loss")
        ]


class Refusing(BaseHTTPRequestHandler):
    """A server that takes no key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(401)
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(params=["nobody", "refusing"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that nobody answers at, and of one that refuses."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    if request.param == "nobody":
        listening.server_close()
    else:
        Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    if request.param == "refusing":
        listening.shutdown()
        listening.server_close()


def test_without_its_server_nothing_is_lost(cycle: Path, server: str) -> None:
    online = {"WANDB_MODE": "online", "WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": server}
    done = learning.run("recipes/whole.yaml", "logger=wandb", **online)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: reaching W&B failed, runs are kept here") == 1
    folders = [path.parent for path in Path("outputs").rglob("offline-run-*/*.wandb")]
    every = {each.run.job_type: each for each in (Offline(folder, read(folder)) for folder in folders)}
    assert every.keys() == {"start", "tuned", "again"}
    for stage, each in every.items():
        assert len(each.curve(f"{stage}/train/loss")) == 4
        assert "final/exact" in each.summary
        assert len(each.artifacts(used=False)) == 1
    glob = next(words for line in done.stdout.splitlines() if (words := line.partition("wandb sync ")[2]))
    assert {path.resolve() for path in cycle.glob(glob)} == {folder.resolve() for folder in folders}
