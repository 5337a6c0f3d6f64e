"""What a judge costs: tokens estimated before anything is sent, counted from replies, and held to a budget."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from PIL import Image

from relation_core.settings.bounds import COUNT, Bounds, bounds_of, check_number

from .errors import EvaluationError
from .judge import QUESTION, composite

PRICE = Bounds(0.0, 1e9)
_TILE, _OF_TILE, _OF_PICTURE = 512, 170, 85
_LONG, _SHORT = 2048, 768
_LETTERS = 4
"""Of a token of English, about."""
_REPLY = 40
"""Tokens; the JSON that is asked for has about 20."""
_MILLION = 1e6


@dataclass(frozen=True)
class Tokens:
    """Tokens to a judge and from it."""

    asked: int
    replied: int

    def times(self, count: int) -> Tokens:
        """Return those of several requests."""
        return Tokens(count * self.asked, count * self.replied)


@dataclass(frozen=True)
class Prices:
    """What tokens cost, and how much they may cost; None if it is not known."""

    price: Annotated[float | None, PRICE] = None
    """Of a million tokens to the judge."""
    reply_price: Annotated[float | None, PRICE] = None
    """Of a million tokens from it; as of those to it, if not given."""
    budget: Annotated[float | None, PRICE] = None
    picture_tokens: Annotated[int | None, COUNT] = None
    """That the judge counts for a picture; None counts as GPT-4o does."""

    def __post_init__(self) -> None:
        for name, bounds in bounds_of(Prices).items():
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), bounds, EvaluationError)
        if self.price is None and (self.budget is not None or self.reply_price is not None):
            raise EvaluationError("A budget, or a price of replies, needs the price of a million tokens: add --price.")

    def cost(self, tokens: Tokens) -> float:
        """Return what tokens cost; 0 without a price."""
        price = self.price or 0.0
        reply_price = price if self.reply_price is None else self.reply_price
        return (tokens.asked * price + tokens.replied * reply_price) / _MILLION


def picture_tokens(width: int, height: int) -> int:
    """Count the tokens of a picture as OpenAI documents it for GPT-4o.

    It is shrunk to fit 2048 x 2048, then to 768 pixels of its shorter side, and each tile of 512 x 512 counts.
    """
    scale = min(1.0, _LONG / max(width, height))
    scale = min(scale, _SHORT / min(width, height))
    columns, rows = (math.ceil(round(side * scale, 6) / _TILE) for side in (width, height))
    return _OF_PICTURE + _OF_TILE * columns * rows


def request_size() -> tuple[int, int]:
    """Return the size of the one picture in each request: its layout has places of fixed sizes."""
    blank = Image.new("RGB", (1, 1))
    return composite(blank, blank, blank, blank).size


def estimate(options: Prices) -> Tokens:
    """Estimate the tokens of one request and its reply."""
    shown = picture_tokens(*request_size()) if options.picture_tokens is None else options.picture_tokens
    return Tokens(shown + math.ceil(len(QUESTION) / _LETTERS), _REPLY)


def counted(reply: dict[str, Any], estimated: Tokens) -> Tokens:
    """Read the tokens that a judge says it counted; those estimated where it does not."""
    usage: Any = reply.get("usage")
    counts = cast("dict[str, Any]", usage) if isinstance(usage, dict) else {}
    asked, replied = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if type(asked) is int and type(replied) is int and min(asked, replied) >= 0:
        return Tokens(asked, replied)
    return estimated


@dataclass
class Meter:
    """Counts what a judge costs, and stops before a budget is exceeded.

    Nothing tells what a request will cost, so each is taken to cost as much as the dearest so far. With a budget, the
    first is sent alone.
    """

    options: Prices
    spent: Tokens = Tokens(0, 0)
    refused: list[int] = field(default_factory=list[int])
    """Samples that were not sent."""
    _pending: int = 0
    _dearest: Tokens | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def admit(self, sample: int) -> bool:
        """Wait until it is known whether the budget has room for another request, and take the room."""
        if self.options.budget is None:
            return True
        async with self._changed:
            while self._pending and (self._dearest is None or not self._has_room()):
                await self._changed.wait()
            if not self._has_room():
                self.refused.append(sample)
                return False
            self._pending += 1
            return True

    async def settle(self, reply: dict[str, Any] | None) -> None:
        """Count an admitted request; without a reply, which is empty then, as estimated; None if it was not sent."""
        found = Tokens(0, 0) if reply is None else counted(reply, estimate(self.options))
        self.spent = Tokens(self.spent.asked + found.asked, self.spent.replied + found.replied)
        if self.options.budget is None:
            return
        async with self._changed:
            self._pending -= 1
            if reply is not None:
                self._dearest = max(self._dearest or found, found, key=self.options.cost)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        next_one = self.options.cost(self._dearest or estimate(self.options))
        most = self.options.budget
        return most is None or self.options.cost(self.spent) + (self._pending + 1) * next_one <= most
