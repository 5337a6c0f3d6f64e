"""Hostile text: JSON and its lines, TOML and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from damage import Damage, of_bytes

N = 40_000
DIGITS = "9" * 5_000


class Raw(str):
    """What is to stand in JSON as it is."""

    __slots__ = ()


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**30, -(10**9), 10**6),
    *("", " ", "\0", "\ud800", "\x1b[2J", "../../../etc/passwd", "/dev/zero", "a" * 100_000, "nan", "9" * 4_000),
    *([], {}, [[]], [None], {"": None}, [1] * 10_000, {"a": {"b": {"c": []}}}),
    *(Raw(DIGITS), Raw("1e999"), Raw("NaN"), Raw("-Infinity"), Raw("[" * 2_000 + "]" * 2_000)),
    *(Raw('{"a": 1, "a": 2}'), Raw('"\\ud800"'), Raw("[" * N), Raw("1" + "0" * 400)),
)

BAITS = {
    "a bracket, lines, a letter": "[x" + "\n" * N + "x",
    "commas and blanks": "[x" + ", " * N + "x",
    "nested arrays": "[" * 200_000,
    "nested objects": '{"a":' * 100_000,
    "nested objects in lines": '{"a":\n' * N,
    "arrays that never end": '{"a":[\n' * 900 + "{},\n" * N,
    "a text that never ends": '{"' + "a" * N * 20,
    "digits": DIGITS,
    "a key of digits": f"a = {DIGITS}\n",
    "dotted keys": "a." * N + "a = 1\n",
    "tables": "[a]\n" * N,
    "inline tables": "a = " + "{a = " * N,
    "quotes": '"' * N * 4,
    "columns": "," * N * 4,
    "lines": "\n" * N * 10,
    "escapes": '{"a":"' + "\\u12" * N,
    "comments": "#" * N * 10,
    "surrogates": '{"\\ud800": "\\udfff"}',
    "a number": "5",
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "a text": '"x"',
    "places": '{"1": {"class_type": "' + "{{" * N + '", "inputs": {}}}',
    "carriage returns": "step\r" * N,
}


def _bait(text: str) -> Damage:
    return of_bytes("", lambda data, draw: text.encode())


def text_damages() -> Iterator[Damage]:
    """Text of which some parsers never come back, or run out of stack."""
    for name, text in BAITS.items():
        yield Damage(name, _bait(text).apply)
    yield of_bytes("followed by a bait", lambda data, draw: data + b"\n" + draw.choice(list(BAITS.values())).encode())
    yield of_bytes("in Latin-1", lambda data, draw: data.replace(b'"', b'"\xe9', 3))
    yield of_bytes("half a letter", lambda data, draw: data.replace(b'"', b'"\xed\xa0\x80', 3))


def json_damages(count: int) -> Iterator[Damage]:
    """Good JSON with another value, or a key twice, somewhere in it."""
    for number in range(count):
        yield of_bytes(f"another value {number}", lambda data, draw: _changed(data, draw).encode())
    yield of_bytes("keys twice", lambda data, draw: data.replace(b"{", b'{"twice": 1, "twice": [], ', 1))


def line_damages(count: int) -> Iterator[Damage]:
    """The same in one of the lines."""

    def change(data: bytes, draw: Random) -> bytes:
        lines = data.splitlines()
        place = draw.randrange(len(lines))
        lines[place] = _changed(lines[place], draw).encode()
        return b"\n".join(lines) + b"\n"

    for number in range(count):
        yield of_bytes(f"another value in a line {number}", change)
    yield of_bytes("another order", lambda data, draw: b"\n".join(reversed(data.splitlines())))


def toml_damages(count: int) -> Iterator[Damage]:
    """Good TOML with another value after an equals sign."""
    values = ("1e999", "nan", "inf", DIGITS, '"\\ud800"', "[" * 2_000, "{}", "[]", '""', '"/dev/zero"', "1979-05-27")
    values += ("-1", "true", '"\x1b"', "0x" + "f" * 5_000, '"""', "''", "1_" * N + "1", "{a.b.c = 1}")

    def change(data: bytes, draw: Random) -> bytes:
        lines = data.decode().splitlines()
        place = draw.choice([number for number, line in enumerate(lines) if " = " in line])
        lines[place] = lines[place].partition(" = ")[0] + " = " + draw.choice(values)
        return "\n".join(lines).encode(errors="surrogatepass")

    for number in range(count):
        yield of_bytes(f"another value {number}", change)


def csv_damages(count: int) -> Iterator[Damage]:
    """Good CSV with another field."""
    values = (
        "nan",
        "inf",
        "1e999",
        DIGITS,
        "",
        '"',
        '"a\n',
        "x" * 200_000,
        "\0",
        "-1",
        "0x10",
        "\uff11",
        "1_0",
        "\x1b[2J",
    )

    def change(data: bytes, draw: Random) -> bytes:
        rows = [line.split(",") for line in data.decode().splitlines()]
        row = draw.choice(rows)
        row[draw.randrange(len(row))] = draw.choice(values)
        if draw.random() < 0.3:
            row.append(draw.choice(values))
        return "\n".join(",".join(row) for row in rows).encode()

    for number in range(count):
        yield of_bytes(f"another field {number}", change)


def _changed(data: bytes, draw: Random) -> str:
    """JSON with one of its values replaced, a key renamed, or one left out."""
    content = json.loads(data)
    places = list(_places(content))
    if not places:
        return str(draw.choice(VALUES))
    holder, key = draw.choice(places)
    kind = draw.random()
    if kind < 0.7:
        holder[key] = draw.choice(VALUES)
    elif kind < 0.85 or not isinstance(holder, dict):
        del holder[key]
    else:
        holder[draw.choice(["", "\ud800", "x" * 10_000, "__class__", f"{key} "])] = holder.pop(key)
    return _dumped(content)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _dumped(content: Any) -> str:
    raw: list[str] = []

    def hide(value: Any) -> Any:
        if isinstance(value, Raw):
            raw.append(value)
            return f"@raw{len(raw) - 1}@"
        if isinstance(value, dict):
            return {key: hide(inner) for key, inner in value.items()}
        return [hide(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(hide(content))
    for number, value in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', value)
    return text
