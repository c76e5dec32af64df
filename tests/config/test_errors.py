"""Which artifacts a mistyped one may have meant."""

from __future__ import annotations

import pytest

from llmcycle.config.errors import alike

MADE = ["align-04dfa5f8d90e", "deploy-18fa3c2d9e01", "deploy-76bfc4ee9900", "finetune-2431f32daae5"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("deploy-18f8", ["deploy-18fa3c2d9e01"]),
        ("deploy-9999", ["deploy-18fa3c2d9e01", "deploy-76bfc4ee9900"]),
        ("deplyo-76be", ["deploy-76bfc4ee9900"]),
        ("deploy", ["deploy-18fa3c2d9e01", "deploy-76bfc4ee9900"]),
        ("finetun", ["finetune-2431f32daae5"]),
        ("2431e", ["finetune-2431f32daae5"]),
        ("pretrain-0000", []),
    ],
)
def test_the_nearest_artifacts_of_the_same_stage(name: str, near: list[str]) -> None:
    assert alike(name, MADE) == near
