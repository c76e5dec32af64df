"""Models, data and checkpoints that somebody has sent: what lies in them never runs, what it points to is not read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gadgets
import pytest
import torch
from conftest import save_chatting
from gadgets import CANARY
from toy import command

pytestmark = pytest.mark.slow

SECRET = "the-text-of-a-file-that-nobody-named"
ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
BY_CYCLER = "{{ cycler.__init__.__globals__.os.system('%s') }}" % gadgets.TOUCH  # noqa: UP031  braces of Jinja
BY_MODULE = "{{ messages.__class__.__init__.__globals__['os'].system('%s') }}" % gadgets.TOUCH  # noqa: UP031
INCLUDE = "{% include '../secret.txt' %}"
OWN = f"open({CANARY!r}, 'w')\nfrom transformers import *\nclass Own(LlamaForCausalLM): pass\n"


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (gadgets.TOUCH,)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    save_chatting(folder)
    return folder


def edited(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | changes))


def own_class(folder: Path, file: str, auto: str, **more: Any) -> None:
    (folder / "own.py").write_text(OWN)
    edited(folder / file, auto_map={auto: "own.Own"}, **more)


def pickled(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Evil()))


def saved(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"x": Evil()}, folder / name)


def template(folder: Path, text: str) -> None:
    (folder / "chat_template.jinja").write_text(text)


def sharded(folder: Path) -> None:
    """Weights that are said to lie in a file above the model."""
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": "../secret.txt"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def adapter(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    edited(folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path="model", task_type="CAUSAL_LM")
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Evil()))


def generating(folder: Path) -> None:
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(OWN + "def generate(*_, **__): pass\n")
    edited(folder / "generation_config.json", custom_generate=str(folder))


MODELS: dict[str, Callable[[Path], None]] = {
    "class_of_the_configuration": lambda folder: own_class(folder, "config.json", "AutoConfig", model_type="own"),
    "class_of_the_model": lambda folder: own_class(folder, "config.json", "AutoModelForCausalLM"),
    "class_of_the_tokenizer": lambda folder: own_class(
        folder, "tokenizer_config.json", "AutoTokenizer", tokenizer_class="Own"
    ),
    "pickled_weights": lambda folder: pickled(folder, "pytorch_model.bin"),
    "saved_weights": lambda folder: saved(folder, "pytorch_model.bin"),
    "pickled_safetensors": lambda folder: pickled(folder, "model.safetensors"),
    "pickled_arguments": lambda folder: saved(shutil.copytree(folder, folder / "x"), "training_args.bin"),
    "weights_elsewhere": sharded,
    "pickled_adapter": adapter,
    "own_generation": generating,
    "template_of_classes": lambda folder: template(folder, ESCAPE),
    "template_by_cycler": lambda folder: template(folder, BY_CYCLER),
    "template_by_module": lambda folder: template(folder, BY_MODULE),
    "template_that_includes": lambda folder: template(folder, INCLUDE),
}
HARMLESS = ("class_of_the_model", "pickled_arguments", "own_generation")  # what they name is not looked at


@pytest.mark.parametrize("name", MODELS)
def test_a_model_runs_nothing(
    here: Path, sound: Path, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "secret.txt").write_text(SECRET)
    shutil.copytree(sound, here / "model")
    MODELS[name](here / "model")
    small = ["evaluate.exact_match.limit=1", "+generate=greedy", "generate.max_new_tokens=1"]
    for words in (["evaluate", *small], ["data", "finetune", "data.count=20", "data.held_out=4"]):
        code = command(*words, "inputs.model=model")
        said = capfd.readouterr()
        assert not (here / CANARY).exists(), words
        assert SECRET not in said.out + said.err
        assert "Traceback" not in said.err
        if words[0] == "evaluate":
            assert code == 0 if name in HARMLESS else code != 0, said.err


DATA = {
    "rows.pkl": pickle.dumps([Evil()]),
    "rows.pt": pickle.dumps([Evil()]),
    "rows.npy": pickle.dumps(Evil()),
    "rows.arrow": pickle.dumps(Evil()),
    "rows.py": OWN.encode(),
    "rows.yaml": f"!!python/object/apply:os.system ['{gadgets.TOUCH}']".encode(),
    "rows.jsonl": pickle.dumps(Evil()),
    "rows.parquet": pickle.dumps(Evil()),
    "rows/rows.py": OWN.encode(),
}


@pytest.mark.parametrize("name", DATA)
def test_data_run_nothing(here: Path, sound: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = here / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(DATA[name])
    code = command("data", "finetune", f"inputs.model={sound}", "data=json", f"data.train={name.partition('/')[0]}")
    assert code == 2
    assert not (here / CANARY).exists()
    assert "Traceback" not in capfd.readouterr().err


def test_a_checkpoint_runs_nothing(here: Path, sound: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = here / "checkpoint"
    folder.mkdir()
    torch.save({"state_dict": {}, "x": Evil()}, folder / "state.ckpt")
    (folder / "checkpoint.json").write_text(json.dumps({"step": 1, "files": {}}))
    assert command("finetune", f"inputs.model={sound}", f"resume={folder}", "trainer.max_steps=1") == 1
    assert not (here / CANARY).exists()


@pytest.mark.parametrize("link", [".partial", ".unfinished", "finetune-0123456789ab"])
def test_a_link_out_of_a_store_is_not_followed(here: Path, link: str, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "precious").mkdir()
    (here / "precious" / "file").write_text("x")
    store = here / "outputs" / "artifacts"
    store.mkdir(parents=True)
    (store / link).symlink_to(here / "precious")
    assert command("gc", "--checkpoints") == (2 if link.startswith(".") else 0)
    assert [path.name for path in (here / "precious").iterdir()] == ["file"]
    assert (store / link).is_symlink()
