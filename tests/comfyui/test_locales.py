"""Every text of every node is translated: the files in ``locales`` are held against the schemas, in both directions."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from comfyui_host.find import PACK
from comfyui_host.host import Host
from comfyui_host.object_info import info_of, our_nodes
from scripts.node_files import Entries, differences, english_texts, texts

LOCALES = PACK / "locales"
CHARACTERS = {
    # language: the character set it is written in, and a character that every sentence of it has
    "en": ("ascii", "[a-z]"),
    "zh": ("gb2312", r"[\u4e00-\u9fff]"),  # simplified characters alone
    "zh-TW": ("big5", r"[\u4e00-\u9fff]"),  # traditional characters alone
    "ja": ("shift_jis", r"[\u3041-\u30ff]"),
    "ko": ("euc_kr", r"[\uac00-\ud7a3]"),
}
TRANSLATIONS = [language for language in CHARACTERS if language != "en"]
WORDS = re.compile(r"[\s();,]+|[.:,](?:\s|$)|'s\b")
"""What stands between words."""
FACT = re.compile(r"[\d_./%]")
"""What a word has that is no plain word: a number, a file, a folder, a model, the id of an input."""
COMPILED = re.compile(r"[{}@|$]")
"""What vue-i18n reads as a command in a message."""


def load(language: str, file: str) -> Entries:
    return json.loads((LOCALES / language / file).read_text(encoding="utf-8"))


def translated(language: str) -> Entries:
    return load(language, "nodeDefs.json")


def sentences(entries: Entries) -> dict[tuple[str, ...], str]:
    """Descriptions and tooltips, without the names."""
    return {place: text for place, text in texts(entries) if place[-1] in ("description", "tooltip")}


def test_these_are_the_languages() -> None:
    assert {path.name for path in LOCALES.iterdir()} == set(CHARACTERS)
    for language in CHARACTERS:
        assert {path.name for path in (LOCALES / language).iterdir()} == {"main.json", "nodeDefs.json"}


def test_english_is_the_schemas_own_text(host: Host) -> None:
    english, scheduler = translated("en"), host.node_classes["RelationScheduler"].GET_SCHEMA()
    assert english == english_texts(host)
    assert english["RelationScheduler"] == {
        "display_name": scheduler.display_name,
        "description": scheduler.description,
        "inputs": {slot.id: {"name": slot.id, "tooltip": slot.tooltip} for slot in scheduler.inputs},
        "outputs": {"0": {"name": "sigmas", "tooltip": scheduler.outputs[0].tooltip}},
    }
    assert english["RelationExemplarEncode"]["inputs"]["fit"]["options"] == {"pad": "pad", "stretch": "stretch"}
    assert "options" not in english["LoadRelationAdapter"]["inputs"]["adapter_name"], "files have no translation"


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_nothing_is_missing_and_nothing_is_left_over(host: Host, language: str) -> None:
    assert list(differences(english_texts(host), translated(language))) == []
    assert all(text.strip() == text != "" for _, text in texts(translated(language)))


@pytest.mark.parametrize("language", CHARACTERS)
def test_the_category_is_named(host: Host, language: str) -> None:
    categories = {part for name in our_nodes(host) for part in info_of(host, name)["category"].split("/")}
    assert set(load(language, "main.json")["nodeCategories"]) == categories


def test_no_two_languages_share_a_text() -> None:
    """A text that two languages share was copied and not translated."""
    for (one, first), (two, second) in itertools.combinations(
        ((language, translated(language)) for language in CHARACTERS), 2
    ):
        titles = {(name, "display_name"): node["display_name"] for name, node in first.items()}
        for place, text in (sentences(first) | titles).items():
            assert dict(texts(second))[place] != text, f"{place} is the same in {one} and {two}"


@pytest.mark.parametrize("language", CHARACTERS)
def test_texts_are_written_in_their_language(language: str) -> None:
    charset, letter = CHARACTERS[language]
    for place, text in texts(translated(language)):
        assert text == text.encode(charset, errors="replace").decode(charset), place
        assert not COMPILED.search(text), place
    for place, text in sentences(translated(language)).items():
        assert re.search(letter, text), place


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_facts_survive_translation(language: str) -> None:
    """Numbers, files and choices stay as they are; inputs go by the names that the page shows."""
    english, other = translated("en"), translated(language)
    for place, text in sentences(english).items():
        node, found = place[0], sentences(other)[place]
        for fact in filter(FACT.search, WORDS.split(text)):
            name = other[node]["inputs"].get(fact, {}).get("name", fact)
            assert name in found, f"{place}: '{name}' is not in '{found}'"
        for choice in english[node]["inputs"].get(place[-2], {}).get("options", ()):
            named = re.search(rf"\b{re.escape(choice)}\b", text)
            assert not named or choice in found, f"{place}: '{choice}' is not in '{found}'"


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_nodes_are_called_by_their_translated_titles(language: str) -> None:
    english, other = translated("en"), translated(language)
    titles = {entry["display_name"]: other[name]["display_name"] for name, entry in english.items()}
    for place, text in sentences(english).items():
        for title, own in titles.items():
            if re.search(rf"\b{title}\b", text):
                assert own in sentences(other)[place], f"{place}: '{title}' is not '{own}'"


@pytest.mark.parametrize("language", CHARACTERS)
def test_one_word_for_one_thing(language: str) -> None:
    """An input or output has the same name in every node, and another than its neighbours."""
    english, words = translated("en"), {}
    for node, entry in translated(language).items():
        for part in ("inputs", "outputs"):
            names = {key: value["name"] for key, value in entry.get(part, {}).items()}
            assert len(set(names.values())) == len(names), (node, part)
            for key, name in names.items():
                known = words.setdefault(word := english[node][part][key]["name"], name)
                assert known == name, f"{language}: '{word}' is '{name}' in {node}, and '{known}' in other nodes"
    titles = [entry["display_name"] for entry in translated(language).values()]
    assert len(set(titles)) == len(titles)


def test_the_host_hands_them_to_the_page(host: Host) -> None:
    from app.custom_node_manager import CustomNodeManager

    served = CustomNodeManager().build_translations()
    for language in CHARACTERS:
        assert served[language]["nodeDefs"] == translated(language)
        assert served[language]["nodeCategories"] == load(language, "main.json")["nodeCategories"]
