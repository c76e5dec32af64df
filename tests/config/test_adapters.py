"""An adapter that can't be merged is refused where a stage can't take it; peft itself is asked what merges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import random_llama
from peft import get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner

from llmcycle.config import RecipeErrors, check, compose, locate
from llmcycle.config.adapters import UNMERGEABLE

METHODS = {
    kind.value: (config, PEFT_TYPE_TO_TUNER_MAPPING[kind]) for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
}
MERGING = sorted(name for name, (_, tuner) in METHODS.items() if issubclass(tuner, BaseTuner))
# What can't be built here: it needs scikit-learn, or trained LoRA adapters to mix.
UNTRIED = {"ADAMSS", "XLORA"}
# Settings that fit a model of width 32, where the defaults don't.
SETTINGS: dict[str, dict[str, Any]] = {
    "ADALORA": {"total_step": 10},
    "C3A": {"block_size": 8},
    "IA3": {"feedforward_modules": ["down_proj"]},
    "LN_TUNING": {"target_modules": None},
    "MISS": {"r": 8},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 2},
    "TRAINABLE_TOKENS": {"target_modules": ["embed_tokens"], "token_indices": [1]},
    "VBLORA": {"num_vectors": 8, "vector_length": 4},
    "WAVEFT": {"n_frequency": 8},
}


def test_the_tables_names_are_those_of_peft() -> None:
    assert {METHODS[kind][0].__name__: kind for kind in UNMERGEABLE.values()} == UNMERGEABLE
    assert set(METHODS) - set(MERGING) <= set(UNMERGEABLE.values()), "no tuner of weights, so nothing to merge"


@pytest.mark.parametrize("kind", [kind for kind in MERGING if kind not in UNTRIED])
def test_the_table_says_what_peft_says_when_asked_to_merge(kind: str) -> None:
    config = METHODS[kind][0]
    settings = {"target_modules": ["q_proj", "down_proj"]} | SETTINGS.get(kind, {})
    known = {name: value for name, value in settings.items() if name in config.__dataclass_fields__}
    model = get_peft_model(random_llama(64, attention_bias=True, mlp_bias=True), config(task_type="CAUSAL_LM", **known))
    if kind in UNMERGEABLE.values():
        with pytest.raises(NotImplementedError):
            model.merge_and_unload(safe_merge=True)
    else:
        assert "lora" not in type(model.merge_and_unload(safe_merge=True)).__name__.lower()


def refusals(recipe: str, *overrides: str) -> dict[str, tuple[str, str]]:
    try:
        check(compose(locate(recipe), overrides))
    except RecipeErrors as error:
        return {each.key: (each.reason, each.remedy) for each in error.errors}
    return {}


@pytest.mark.parametrize("peft", ["prompt_tuning", "prefix_tuning", "p_tuning"])
def test_a_siblings_planned_adapter_is_refused_where_it_would_be_trained(here: Path, peft: str) -> None:
    found = refusals("lifecycle", f"peft@finetune.peft={peft}")
    assert set(found) == {"reward.inputs.model", "align.inputs.model"}
    reason, remedy = found["align.inputs.model"]
    assert peft.upper() in reason
    assert remedy.startswith("peft@finetune.peft=lora")


def test_and_where_it_would_be_quantised_but_not_where_it_is_prompted_or_served(here: Path) -> None:
    straight = ["lifecycle=[pretrain,finetune,prompt,compress,deploy]", "peft@finetune.peft=prompt_tuning"]
    for stage in ("prompt", "compress", "deploy"):
        straight.append(f"{stage}.inputs.model='${{artifact:finetune}}'")
    assert set(refusals("lifecycle", *straight)) == {"compress.inputs.model"}
    through = [*straight, "compress.inputs.model='${artifact:prompt}'"]
    assert "peft@finetune.peft=lora" in refusals("lifecycle", *through)["compress.inputs.model"][1]


@pytest.mark.parametrize(
    "override",
    ["peft@finetune.peft=lora", "peft@finetune.peft=ia3", "peft@finetune.peft=none", "model@finetune.model=nf4"],
)
def test_what_merges_passes(here: Path, override: str) -> None:
    assert refusals("lifecycle", override) == {}


@pytest.mark.parametrize(
    "override",
    ["+finetune.peft.alora_invocation_tokens=[1,2]", "+finetune.model.quantization_config={load_in_8bit: true}"],
)
def test_lora_that_stays_beside_its_base_is_refused(here: Path, override: str) -> None:
    assert "LORA" in refusals("lifecycle", override)["align.inputs.model"][0]


@pytest.mark.parametrize("recipe", ["finetune", "align", "reward", "rlvr", "compress"])
def test_a_folder_that_holds_an_adapter_is_refused(here: Path, recipe: str) -> None:
    Path("tuned").mkdir()
    Path("tuned/adapter_config.json").write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    Path("asked").mkdir()
    Path("asked/base.json").write_text(json.dumps({"path": str(Path("tuned").resolve())}))
    for folder in ("./tuned", "./asked"):
        assert "PREFIX_TUNING" in refusals(recipe, f"inputs.model={folder}")["inputs.model"][0]
    for taker in ("prompt", "deploy"):
        assert refusals(taker, "inputs.model=./tuned") == {}
