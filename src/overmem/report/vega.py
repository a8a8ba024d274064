"""Vega-Lite specifications as plain dictionaries, written with the words of the grammar: charts, marks, channels.

Each function returns a part of a specification as https://vega.github.io/vega-lite/docs/ describes it. Nothing is
checked here; a test holds every chart of a report against the schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Spec: TypeAlias = dict[str, Any]

_TYPES = {"Q": "quantitative", "N": "nominal", "O": "ordinal", "T": "temporal"}
_WITHOUT_TYPE = ("x2", "y2")
"""Channels that take the type of another channel."""


def channel(shorthand: str, **options: Any) -> Spec:
    """A field on a channel, "step:Q" for a quantitative one; `options` are the channel's: scale, axis, title, ..."""
    name, _, kind = shorthand.partition(":")
    return {"field": name, "type": _TYPES[kind], **options}


def expression(text: str) -> Spec:
    """A property that Vega computes."""
    return {"expr": text}


@dataclass(frozen=True)
class Chart:
    """One layer: rows, a mark and what its channels show."""

    data: Spec
    mark: Spec = field(default_factory=dict)
    encoding: Spec = field(default_factory=dict)
    params: tuple[Spec, ...] = ()

    def mark_line(self, **options: Any) -> "Chart":
        """The rows as a line."""
        return self._marked("line", options)

    def mark_point(self, **options: Any) -> "Chart":
        """The rows as points."""
        return self._marked("point", options)

    def mark_rule(self, **options: Any) -> "Chart":
        """The rows as straight lines along or across the chart."""
        return self._marked("rule", options)

    def mark_rect(self, **options: Any) -> "Chart":
        """The rows as rectangles."""
        return self._marked("rect", options)

    def mark_text(self, **options: Any) -> "Chart":
        """The rows as words."""
        return self._marked("text", options)

    def encode(self, **channels: Any) -> "Chart":
        """What each channel shows: a `channel`, or its shorthand; a list of them for `tooltip`."""
        return Chart(self.data, self.mark, {**self.encoding, **_encoded(channels)}, self.params)

    def add_params(self, *params: Spec) -> "Chart":
        """With selections."""
        return Chart(self.data, self.mark, self.encoding, (*self.params, *params))

    def spec(self) -> Spec:
        """The layer as Vega-Lite."""
        params = {"params": list(self.params)} if self.params else {}
        return {"data": self.data, "mark": self.mark, "encoding": self.encoding, **params}

    def _marked(self, kind: str, options: Mapping[str, Any]) -> "Chart":
        return Chart(self.data, {"type": kind, **options}, self.encoding, self.params)


def selection(name: str, **options: Any) -> Spec:
    """A selection of points."""
    return {"name": name, "select": {"type": "point", **options}}


def where_selected(selected: Spec, then: int | float, otherwise: int | float) -> Spec:
    """A channel with one value for what is selected and another for the rest."""
    return {"condition": {"param": selected["name"], "empty": False, "value": then}, "value": otherwise}


def _encoded(channels: Mapping[str, Any]) -> Spec:
    encoding: Spec = {}
    for name, value in channels.items():
        spec = channel(value) if isinstance(value, str) else value
        encoding[name] = {k: v for k, v in spec.items() if k != "type"} if name in _WITHOUT_TYPE else spec
    return encoding
