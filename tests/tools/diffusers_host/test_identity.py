"""What an edit's results are known by."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields, replace

from relation_tools.diffusers_host.identity import edit_identity, samples_identity
from relation_tools.diffusers_host.settings import EditSettings

MODELS = {"model": None, "adapter": None, "vae": None, "text": None, "vision": None, "lora": [], "quantize": None}
SAID = {"prompt": "", "weight": None, "fit": "pad", "lora_strength": 1.0, "dtype": "auto", "no_texts": False}
OPTIONS = Namespace(**MODELS, **SAID, before=[], after=[], relation=None)
OTHERS = {"steps": 5, "guidance": 2.0, "strength": 0.5, "double_strength": 0.5, "single_strength": 0.5, "start": 0.1}
OTHERS |= {"end": 0.9, "seed": 1, "long_side": 64, "source_scale": 0.5, "refresh_every": 2, "solver": "dpmpp_2m"}


def test_every_setting_makes_another_edit() -> None:
    others = {**OTHERS, "reuse_8bit": True}
    assert others.keys() == {field.name for field in fields(EditSettings)}
    settings = [EditSettings(), *(replace(EditSettings(), **{name: value}) for name, value in others.items())]
    for identity in (edit_identity, samples_identity):
        assert len({identity(OPTIONS, one) for one in settings}) == len(settings)


def test_results_of_earlier_versions_stay_known() -> None:
    """Settings that came later are left out where they are as everything was before."""
    assert edit_identity(OPTIONS, EditSettings()) == "c47994cb78f14eb318e3bc7aafc15e8b"
    assert samples_identity(OPTIONS, EditSettings()) == "c1fd500eca5a162a6ddc8c585392822e"
