"""A recipe may name library classes, and nothing that runs, loads or fetches code."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmcycle.config import ConfigError
from llmcycle.config.allow import allow, check_lookup, check_target

DANGEROUS = [
    "os.system",
    "posix.system",
    "subprocess.Popen",
    "subprocess.check_output",
    "builtins.eval",
    "builtins.exec",
    "builtins.open",
    "builtins.__import__",
    "importlib.import_module",
    "shutil.rmtree",
    "pickle.loads",
    "runpy.run_path",
    "webbrowser.open",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.optim.optimizer.torch.load",
    "torch.serialization.load",
    "peft.tuners.lora.model.torch.hub.load",
    "transformers.utils.hub.os.system",
    "transformers.pipeline",
    "transformers.dynamic_module_utils.get_class_from_dynamic_module",
    "pytorch_lightning.trainer.trainer.os.system",
    "pytorch_lightning.Trainer.fit",
    "datasets.load_dataset.__globals__",
    "datasets.load_from_disk",
    "hydra.utils.call",
    "hydra.utils.instantiate",
    "hydra._internal.utils._locate",
    "hydra.compose",
    "llmcycle.cli.main",
    "llmcycle.cli.sys.exit",
    "llmcycle.config.allow.allow",
    "llmcycle.config.allow.importlib.import_module",
    "llmcycle.artifact.store.shutil.rmtree",
    "llmcycle.building.build",
    "trl.SFTTrainer",
    "trl.rewards.sys.exit",
    "trl.rewards.accuracy_rewards.is_math_verify_available",
    "trl.rewards.accuracy_rewards.threading.Thread",
]
PERMITTED = [
    "trl.rewards.think_format_reward",
    "trl.rewards.get_soft_overlong_punishment",
    "torch.optim.AdamW",
    "torch.optim.lr_scheduler.CosineAnnealingLR",
    "transformers.AutoModelForCausalLM.from_pretrained",
    "transformers.LlamaConfig",
    "transformers.GenerationConfig",
    "transformers.get_cosine_schedule_with_warmup",
    "peft.LoraConfig",
    "peft.tuners.lora.LoraConfig",
    "torchao.quantization.Int8WeightOnlyConfig",
    "pytorch_lightning.Trainer",
    "pytorch_lightning.callbacks.EarlyStopping",
    "pytorch_lightning.loggers.CSVLogger",
    "llmcycle.evaluate.metric.Metric",
    "hydra.utils.get_object",
]


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_targets_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_target(name, "part._target_")
    assert caught.value.key == "part._target_"


@pytest.mark.parametrize("name", PERMITTED)
def test_library_classes_are_permitted(name: str) -> None:
    assert callable(check_target(name, "part._target_"))


@pytest.mark.parametrize("name", ["torch.load", "os.system", "torch.optim.optimizer.torch.load", "torch.hub"])
def test_the_path_of_a_lookup_is_judged_like_a_target(name: str) -> None:
    with pytest.raises(ConfigError):
        check_lookup(name, "part.path")


def test_a_lookup_gives_dtypes_and_permitted_callables() -> None:
    check_lookup("torch.int4", "quant.weight_dtype.path")
    check_lookup("torch.optim.AdamW", "optim.path")


def test_a_mistyped_target_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        check_target("peft.LoraConfg", "peft._target_")
    assert caught.value.remedy == "peft.LoraConfig"


def test_refused_packages_are_not_even_imported() -> None:
    program = (
        "import sys\nfrom llmcycle.config.allow import check_target\n"
        "try:\n    check_target('antigravity.fly', 'x')\nexcept ValueError: print('antigravity' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_users_extend_the_list_from_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmcycle.config.allow._extra", set())
    with pytest.raises(ConfigError, match="--allow"):
        check_target("fractions.Fraction", "part")
    allow("fractions")
    assert callable(check_target("fractions.Fraction", "part"))
