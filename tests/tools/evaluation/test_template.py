"""Workflow templates: what is filled in, and what is refused; and the journal's broken lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relation_tools.evaluation.answers import result_picture
from relation_tools.evaluation.errors import EvaluationError
from relation_tools.evaluation.journal import Entry, Journal, last_entries, read_journal
from relation_tools.evaluation.template import SHIPPED, Template, Values, load_template

TESTS = Path(__file__).resolve().parents[2]
VALUES = Values("u/a.png", "u/b.png", "u/c.png", 'say "{{seed}}"', 7)


def node(**inputs: Any) -> dict[str, Any]:
    return {"class_type": "Any", "inputs": inputs}


NODES = {name: node(image=f"{{{{{name}}}}}") for name in ("before", "after", "source")}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "workflow.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_places_are_filled(tmp_path: Path) -> None:
    more = node(
        text="{{ text }}", seed="{{seed}}", name="run {{seed}} of {{text}}", link=["before", 0], number=3, flag=None
    )
    found = load_template(written(tmp_path, {**NODES, "more": more})).filled(VALUES)
    assert [found[name]["inputs"]["image"] for name in NODES] == ["u/a.png", "u/b.png", "u/c.png"]
    assert found["more"]["inputs"] == {
        **{"text": 'say "{{seed}}"', "seed": 7, "name": 'run 7 of say "{{seed}}"', "link": ["before", 0]},
        **{"number": 3, "flag": None},
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not JSON", "Cannot read"),
        ([], "not a workflow in API form"),
        ({}, "not a workflow in API form"),
        ({"nodes": [], "links": []}, "not a workflow in API form"),
        ({"1": node(image="{{before}}"), "2": node(image="{{after}}")}, "missing: ['source']"),
        ({**NODES, "more": node(text="{{prompt}}")}, "unknown: ['prompt']"),
    ],
)
def test_what_is_no_template_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        load_template(written(tmp_path, content))
    assert said in str(caught.value)


def test_the_node_titled_result_is_the_result() -> None:
    titled = {**NODES, "9": {**node(), "_meta": {"title": " Result "}}}
    assert Template(titled).result_node == "9"
    assert Template({**titled, "8": titled["9"]}).result_node is None
    picture, other = {"filename": "a.png"}, {"filename": "b.png"}
    outputs = {"9": {"images": [picture]}, "3": {"images": [other]}, "4": {"text": ["x"]}}
    assert result_picture(outputs, "9") == picture
    assert result_picture({"3": outputs["3"]}, None) == other
    for wrong, result in ((outputs, None), ({}, None), (outputs, "4"), ({"9": {"images": [picture, other]}}, "9")):
        with pytest.raises(EvaluationError, match="put out"):
            result_picture(wrong, result)


def test_the_shipped_template_is_the_shipped_workflow() -> None:
    """But for the places, the comparison picture, and where the server keeps the results."""
    expected = json.loads((TESTS / "comfyui" / "relation_transfer.api.json").read_text(encoding="utf-8"))
    by_title = {node["_meta"]["title"]: name for name, node in expected.items()}
    for title in ("Relation Comparison", "Comparison"):
        del expected[by_title[title]]
    for title, name, place in (
        ("Before", "image", "{{before}}"),
        ("After", "image", "{{after}}"),
        ("Source", "image", "{{source}}"),
        ("Prompt", "text", "{{text}}"),
        ("Seed", "noise_seed", "{{seed}}"),
        ("Result", "filename_prefix", "relation_evaluation/result"),
    ):
        expected[by_title[title]]["inputs"][name] = place
    template = load_template(SHIPPED)
    assert template.nodes == expected
    assert template.result_node == by_title["Result"]


def test_half_a_line_is_passed_over_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add(Entry("submitted", 0, "http://a", "x"))
        journal.add(Entry("done", 0))
    with path.open("ab") as file:
        file.write(b'{"event": "submitted", "sam')
    with Journal(path) as journal:
        journal.add(Entry("failed", 1, message="naïve"))
    entries = read_journal(path)
    assert entries == [Entry("submitted", 0, "http://a", "x"), Entry("done", 0), Entry("failed", 1, message="naïve")]
    assert last_entries(entries) == {0: entries[1], 1: entries[2]}
    assert read_journal(tmp_path / "nothing") == []
