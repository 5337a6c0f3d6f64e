"""Random graphs of everything that composes: at strength 0 equal, bit for bit, to the graph without our node.

With the source reused they are near the same graph without reuse.
"""

from __future__ import annotations

import math
import random
from statistics import mean
from typing import Any

import pytest
import torch
from edits import Edit
from flux_models import write_controlnet
from reuse_oracle import counted

from comfyui_host.graph import Node
from comfyui_host.host import Host

QUICK, ALL = 24, 500
REUSED_QUICK, REUSED_ALL = 6, 200
REUSED_DB = 25.0
"""Peak signal to noise of a graph with reuse to the same graph without it, the peak being the exact latent's range."""
SAMPLERS = ("euler", "heun", "dpmpp_2m", "euler_ancestral", "dpmpp_2m_sde", "lcm", "uni_pc", "res_multistep")


class RandomEdit:
    """One random graph. Its parts are drawn once, so that it can be built with and without the relation."""

    def __init__(self, host: Host, seed: int, reusing: bool = False) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - no secret
        self.edit = Edit(host, self.draw.choice(["one_head", "two_heads"]))
        self.batch = self.draw.choice([1, 1, 1, 2, 3])
        self.size = (self.draw.randint(2, 12), self.draw.randint(2, 12))  # rows and columns of the latent, odd too
        reuse = random.Random(seed)  # noqa: S311
        self.refresh_every, self.reuse_first = reuse.choice([2, 2, 3, 4, 8]), reuse.random() < 0.5
        self.in_8_bits = reuse.random() < 0.5
        self.fewest_sources = int(reusing)
        self.skipping = 0.0 if reusing else 0.4  # EasyCache would skip other steps where the source is reused
        self.steps = self.draw.randint(1, 4) + (max(self.refresh_every, 4) if reusing else 0)
        self.said: list[str] = [self.edit.case, f"batch {self.batch}", f"latent {self.size}", f"{self.steps} steps"]
        self.relation = self._relation()
        self.settings = self._settings()
        self.text = self._conditioning(None)
        self.guiding = self._guiding()
        self.latent = self._latent()
        self.sampler = self._say(self.draw.choice(SAMPLERS))
        self.noise = self.edit.noise(seed, self.batch, self.size)
        self.before, self.after = self._patches(), self._patches()
        self.sigmas = self._sigmas()

    def sampled(self, strength: float | None) -> Node:
        """The graph with the relation, or (None) without our node."""
        return self._sampling(self.model(strength))

    def counted(self, reused: bool) -> tuple[torch.Tensor, list[int]]:
        """The latent of the graph with the source reused, or computed anew, and the image tokens of every call."""
        model, tokens = counted(self.edit, self.model(0.9, reused))
        return self.edit.run(self._sampling(model)), tokens

    def model(self, strength: float | None, reused: bool = False) -> Node:
        """The model with all its patches."""
        edit = self.edit
        model = self._patched(edit.model(), self.before)
        reuse = {"refresh_every": self.refresh_every, "reuse_8bit": self.in_8_bits}
        if reused and self.reuse_first:
            model = edit.graph.add("RelationSourceReuse", model=model, **reuse)
        if strength is not None:
            model = edit.apply(model, self.relation, **{**self.settings, "strength": strength})
        model = self._patched(model, self.after)
        if reused and not self.reuse_first:
            model = edit.graph.add("RelationSourceReuse", model=model, **reuse)
        return model

    def _sampling(self, model: Node) -> Node:
        edit = self.edit
        if self.guiding is None:
            guider = edit.graph.add("BasicGuider", model=model, conditioning=self.text)
        else:
            guider = edit.graph.add("CFGGuider", model=model, positive=self.text, **self.guiding)
        return edit.sample(
            None, guider=guider, noise=self.noise, latent=self.latent, sigmas=self.sigmas, sampler=self.sampler
        )

    def acts(self) -> bool:
        """Whether the relation has to show: it acts at every noise level.

        A single step need not show it: UniPC's asks no model, and differential diffusion keeps all of the latent then.
        """
        return self.steps > 1 and self.settings["start_percent"] == 0.0 and self.settings["end_percent"] == 1.0

    def _say(self, what: Any) -> Any:
        self.said.append(str(what))
        return what

    def _relation(self) -> Node:
        edit, adapter, relation = self.edit, self.edit.adapter(), None
        for index in range(self._say(self.draw.choice([1, 1, 2, 3]))):
            names = self.draw.sample(["before", "after", "source"], 2)
            weight = self.draw.choice([1.0, 1.0, 0.5, 2.5])
            more = {} if relation is None else {"relation": relation}
            fit = self.draw.choice(["pad", "stretch"])
            relation = edit.relation(
                *map(edit.picture, names), relation_adapter=adapter, weight=weight, fit=fit, **more
            )
            if index and self.draw.random() < 0.3:
                mode = self._say(self.draw.choice(["average", "concat"]))
                relation = edit.graph.add(
                    "BlendRelations", relation_1=relation, relation_2=relation, ratio=self.draw.random(), mode=mode
                )
        assert relation is not None
        return relation

    def _settings(self) -> dict[str, Any]:
        draw = self.draw
        start, end = draw.choice([(0.0, 1.0), (0.0, 1.0), (0.0, 0.5), (0.4, 1.0), (0.3, 0.6)])
        settings: dict[str, Any] = {
            "start_percent": start,
            "end_percent": end,
            "double_strength": draw.choice([1.0, 1.0, 0.5, -0.7]),
            "single_strength": draw.choice([1.0, 1.0, 1.8]),
        }
        self._say(settings.copy())
        if draw.random() < 0.4:
            shape = (draw.choice([1, self.batch]), draw.randint(1, 130), draw.randint(1, 130))
            mask = torch.rand(shape, generator=torch.Generator().manual_seed(draw.randint(0, 999)))
            settings["mask"] = self.edit.value(mask)
            self._say(f"mask {shape}")
        return settings

    def _conditioning(self, text_seed: int | None) -> Node:
        edit, draw = self.edit, self.draw
        text = edit.text(text_seed)
        for _ in range(self._say(max(self.fewest_sources, draw.choice([1, 1, 1, 0, 2])))):
            rows, columns = (side if draw.random() < 0.6 else draw.randint(2, 12) for side in self.size)
            batch = draw.choice([1, self.batch])
            text = edit.with_source(text, edit.noise(draw.randint(0, 99), batch, (rows, columns)))
        if draw.random() < 0.2:
            picture = edit.picture("source")
            vae = edit.graph.add("VAELoader", vae_name="small.safetensors")
            scale = self._say(draw.choice([0.5, 1.0]))
            text = edit.graph.add(
                "RelationSourceEncode", conditioning=text, vae=vae, image=picture, long_side=96, source_scale=scale
            )[0]
        if draw.random() < 0.15:
            net = edit.graph.add("ControlNetLoader", control_net_name=f"random_{edit.case}.safetensors")
            text = edit.graph.add(
                "ControlNetApplyAdvanced", positive=text, negative=edit.text(5), control_net=net,
                image=edit.picture("source"), strength=0.6, start_percent=0.0, end_percent=1.0,
                vae=edit.graph.add("VAELoader", vae_name="small.safetensors"),
            )[0] if edit.case == "one_head" else text  # fmt: skip
        if draw.random() < 0.15:
            other = edit.with_source(edit.text(8))
            text = edit.graph.add("ConditioningCombine", conditioning_1=text, conditioning_2=other)
            self._say("combined")
        return text

    def _guiding(self) -> dict[str, Any] | None:
        if self.draw.random() < 0.6:
            return None
        negative = self._conditioning(3) if self.draw.random() < 0.5 else self.edit.text(3)
        return {"negative": negative, "cfg": self._say(self.draw.choice([1.0, 2.0, 4.5]))}

    def _latent(self) -> Node:
        latent = self.edit.latent(self.batch, self.size)
        if self.draw.random() < 0.2:
            mask = torch.rand(1, 5, 7, generator=torch.Generator().manual_seed(1))
            latent = self.edit.graph.add("SetLatentNoiseMask", samples=latent, mask=self.edit.value(mask))
            self._say("inpainting")
        return latent

    def _patches(self) -> list[str]:
        patches = ["ModelSamplingFlux", "DifferentialDiffusion", "EasyCache", "LoraLoaderModelOnly", "NAGuidance"]
        return self._say(self.draw.sample(patches, self.draw.choice([0, 0, 1, 2])))

    def _patched(self, model: Node, patches: list[str]) -> Node:
        settings: dict[str, dict[str, Any]] = {
            "ModelSamplingFlux": {"max_shift": 1.3, "base_shift": 0.4, "width": 96, "height": 64},
            "DifferentialDiffusion": {"strength": 1.0},
            "EasyCache": {"reuse_threshold": self.skipping, "start_percent": 0.2, "end_percent": 0.9, "verbose": False},
            "NAGuidance": {"nag_scale": 2.0, "nag_alpha": 0.5, "nag_tau": 1.5},
            "LoraLoaderModelOnly": {
                "lora_name": f"{self.edit.case}/pytorch_lora_weights.safetensors",
                "strength_model": 0.3,
            },
        }
        for patch in patches:
            model = self.edit.graph.add(patch, model=model, **settings[patch])
        return model

    def _sigmas(self) -> Node:
        denoise = self._say(self.draw.choice([1.0, 1.0, 0.6]))
        return self.edit.graph.add("RelationScheduler", steps=self.steps, latent=self.latent, denoise=denoise)


def check(host: Host, seed: int) -> None:
    write_controlnet(host, "random_one_head.safetensors")
    graph = RandomEdit(host, seed)
    without, idle, still, acting = graph.edit.run(*[graph.sampled(strength) for strength in (None, 0.0, 1e-30, 0.9)])
    assert torch.equal(without, idle), "; ".join(graph.said)
    assert acting.isfinite().all(), "; ".join(graph.said)
    assert acting.shape == without.shape == graph.noise.shape, "; ".join(graph.said)
    if graph.acts():
        assert not torch.equal(acting, still), "; ".join(graph.said)


@pytest.mark.parametrize("seed", range(QUICK))
def test_a_random_graph(host: Host, seed: int) -> None:
    check(host, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(QUICK, ALL))
def test_one_more_random_graph(host: Host, seed: int) -> None:
    check(host, seed)


def check_reuse(host: Host, seed: int) -> None:
    """Compare a graph in which the source is reused to the one without reuse."""
    write_controlnet(host, "random_one_head.safetensors")
    graph = RandomEdit(host, seed, reusing=True)
    (exact, all_tokens), (found, tokens) = graph.counted(reused=False), graph.counted(reused=True)
    bits = " in 8 bits" if graph.in_8_bits else ""
    said = f"refreshed every {graph.refresh_every}{bits}; " + "; ".join(graph.said)
    assert found.shape == exact.shape and found.isfinite().all(), said
    error = float((found - exact).square().mean())
    distance = 10 * math.log10(float(exact.max() - exact.min()) ** 2 / error) if error else math.inf
    print(f"seed {seed}: {distance:.1f} dB; {said}")
    assert distance >= REUSED_DB, f"{distance:.1f} dB; {said}"
    if graph.settings["start_percent"] == 0.0:  # a relation that begins later refreshes the source once more
        assert mean(tokens) < mean(all_tokens), said


@pytest.mark.parametrize("seed", range(REUSED_QUICK))
def test_a_random_graph_with_the_source_reused(host: Host, seed: int) -> None:
    check_reuse(host, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(REUSED_QUICK, REUSED_ALL))
def test_one_more_random_graph_with_the_source_reused(host: Host, seed: int) -> None:
    check_reuse(host, seed)
