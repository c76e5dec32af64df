"""What a recipe may not do through Hydra's own node, however it is spelt; and what it may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from toy import command

from llmcycle.config import ConfigError, check, check_shown, compose, describe, locate
from llmcycle.config.allow import check_target

CANARY = "touch CANARY"
QUEUE, SOCKET, MAIL = (f"logging.handlers.{name}Handler" for name in ("Queue", "Socket", "SMTP"))
CODE = {"_target_": "torch.utils.collect_env.run", "command": CANARY}
FACTORY = {"()": "torch.utils.collect_env.run", "command": CANARY}
GADGETS: dict[str, dict[str, Any]] = {
    "callback": {"callbacks": {"mine": CODE}},
    "callback_by_reference": {"callbacks": "${world}"},
    "callback_by_two_references": {"callbacks": "${oc.select:world}"},
    "callback_of_hydra_internals": {"callbacks": {"mine": {"_target_": "hydra._internal.utils._locate", "path": "os"}}},
    "callback_of_pickles": {"callbacks": {"mine": {"_target_": "pickle.load"}}},
    "launcher": {"launcher": CODE},
    "launcher_by_dunder": {"launcher": {"_target_": "hydra_plugins.__builtins__.eval"}},
    "launcher_commands": {"launcher": {"setup": [CANARY]}},
    "sweeper": {"sweeper": CODE},
    "job_handler_factory": {"job_logging": {"handlers": {"mine": FACTORY}}},
    "job_handler_by_reference": {"job_logging": {"handlers": "${world}"}},
    "job_handlers_of_queues": {"job_logging": {"handlers": {"mine": {"class": QUEUE, "queue": "os.abort"}}}},
    "job_handlers_of_sockets": {"job_logging": {"handlers": {"mine": {"class": SOCKET, "host": "x", "port": 1}}}},
    "job_handlers_of_mail": {"job_logging": {"handlers": {"mine": {"class": MAIL}}}},
    "job_filter_factory": {"job_logging": {"filters": {"mine": FACTORY}}},
    "job_formatter_factory": {"job_logging": {"formatters": {"mine": FACTORY}}},
    "job_formatter_class": {"job_logging": {"formatters": {"mine": {"class": "os.system"}}}},
    "job_stream": {"job_logging": {"handlers": {"mine": {"class": "logging.StreamHandler", "stream": "ext://os.environ"}}}},
    "job_cfg": {"job_logging": {"handlers": {"mine": {"class": "logging.StreamHandler", "stream": "cfg://x"}}}},
    "hydra_handler_factory": {"hydra_logging": {"handlers": {"mine": FACTORY}}},
    "hydra_handler_by_reference": {"hydra_logging": {"handlers": "${world}"}},
    "log_into_a_profile": {"job_logging": {"handlers": {"file": {"filename": "home/.bashrc"}}}},
    "log_beside_the_run": {"job_logging": {"handlers": {"file": {"filename": "${hydra.runtime.output_dir}/../x.pth"}}}},
    "log_by_job_name": {"job": {"name": "../../../../x"}},
    "run_elsewhere": {"run": {"dir": "elsewhere"}},
    "run_above": {"run": {"dir": "${outputs}/../elsewhere"}},
    "sweep_elsewhere": {"sweep": {"dir": "/tmp/elsewhere"}},
    "sweep_arm_elsewhere": {"sweep": {"subdir": "../../../elsewhere"}},
    "hydra_files_elsewhere": {"output_subdir": "../../../elsewhere"},
    "package_searched": {"searchpath": ["pkg://antigravity"]},
    "another_folder": {"job": {"chdir": True}},
    **{
        f"variable_{name}": {"job": {"env_set": {name: "x"}}}
        for name in (
            *("GIT_CONFIG_COUNT", "GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME"),
            *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "HOME", "BASH_ENV", "ENV", "SHELL", "EDITOR"),
            *("WANDB_BASE_URL", "WANDB_API_KEY", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HOME"),
            *("HTTPS_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "TORCHINDUCTOR_CACHE_DIR", "CXX", "CC", "RANK"),
            *("LLMCYCLE_API_KEY", "LLMCYCLE_FORCE", "TMPDIR", "XDG_CACHE_HOME", "CUDA_HOME", "TRITON_CACHE_DIR"),
        )
    },
}  # fmt: skip


def recipe(hydra: dict[str, Any], **keys: Any) -> Path:
    """The first stage of the toy cycle with a `hydra` node, and with harmless-looking keys of its own."""
    path = Path("recipes/attack.yaml")
    body = yaml.safe_load(Path("recipes/first.yaml").read_text())
    body["data"]["train"] = "rows.txt"
    path.write_text("# @package _global_\n" + yaml.safe_dump({**body, **keys, "hydra": hydra}))
    return path


@pytest.mark.parametrize("name", GADGETS)
def test_a_gadget_is_refused_before_hydra_sees_it(toys: Path, name: str) -> None:
    path = recipe(GADGETS[name], world={"x": {**CODE, **FACTORY}})
    for judge in (check, check_shown):
        with pytest.raises(ConfigError) as refused:
            judge(compose(locate(str(path))))
        assert refused.value.key.startswith("hydra"), str(refused.value)
        assert refused.value.remedy


@pytest.mark.parametrize("way", [(), ("--help",), ("--cfg", "job"), ("--info", "defaults"), ("--hydra-help",), ("-m",)])
def test_no_way_in_runs_it(toys: Path, way: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    before = set(toys.rglob("*"))
    path = recipe({"hydra_logging": {"handlers": {"mine": FACTORY}}, "callbacks": {"mine": CODE}})
    code = command(str(path), *way)
    assert code == (0 if way == ("--help",) else 2)
    assert set(toys.rglob("*")) - before == {toys / path}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "hydra",
    [
        {},
        {"job": {"env_set": {"OMP_NUM_THREADS": "1"}}},
        {"run": {"dir": "${outputs}/mine/${now:%H}"}},
        {"sweep": {"subdir": "${hydra.job.override_dirname}"}},
        {"job_logging": {"root": {"level": "DEBUG", "handlers": ["console", "file"]}}},
        {"verbose": True},
    ],
)
def test_what_a_recipe_may_set(toys: Path, hydra: dict[str, Any]) -> None:
    check(compose(locate(str(recipe(hydra)))))


@pytest.mark.parametrize(
    "name",
    [
        *("llmcycle.worker.work", "llmcycle.processes.Job", "llmcycle.store_verbs.gc", "llmcycle.files.write_synced"),
        *("llmcycle.deploy.serve", "llmcycle.deploy.chat", "llmcycle.train.checkpoint_folder.prune"),
        *(
            "llmcycle.train.checkpoint_folder.begin",
            "llmcycle.data.tokenise.prune",
            "llmcycle.evaluate.scores.write_scores",
        ),
        *("llmcycle.artifact.Store", "llmcycle.lifecycle.execute", "llmcycle.report.write_report"),
    ],
)
def test_our_own_engine_room_is_no_part(name: str) -> None:
    with pytest.raises(ConfigError, match=r"a recipe may not call|does not exist"):
        check_target(name, "stage._target_")


def test_the_help_of_a_recipe_needs_no_value(here: Path) -> None:
    text = describe(compose(locate("finetune")), locate("finetune"), "finetune")
    assert "inputs.model=..." in text
    assert "peft" in text
    assert "llmcycle finetune trainer.max_steps=50" in text
    assert max(map(len, text.splitlines())) < 130


def test_help_names_the_world_where_a_recipe_has_one(here: Path) -> None:
    for name, world in (("lifecycle", "storefront  (or bench, tiny)"), ("nanogpt", "")):
        lines = describe(compose(locate(name)), locate(name), name).splitlines()
        assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("  world ")] == [world][: bool(world)]
    text = describe(compose(locate("pretrain"), ["world=tiny"]), locate("pretrain"), "pretrain")
    assert "tiny  (or bench, storefront)" in text


def test_a_folder_s_own_git_configuration_is_not_obeyed(here: Path) -> None:
    import subprocess

    from llmcycle.artifact import git_state

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init", "-q", ".")
    Path(".gitattributes").write_text("* filter=mine\n")
    Path("a.txt").write_text("x")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    git("config", "core.fsmonitor", f"{CANARY}; false")
    git("config", "filter.mine.clean", f"{CANARY}; cat")
    git("config", "filter.mine.process", f"{CANARY}; false")
    Path("a.txt").write_text("y")
    state = git_state(here)
    assert state is not None
    assert state["dirty"]
    assert not Path("CANARY").exists()
