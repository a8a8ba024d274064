"""Calls between the process of the tests and that of the program, as lines of JSON."""

import builtins
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

from plain_data import decode, encode  # type: ignore[import-not-found]

MUTABLE = (list, dict, set)


class Peer:
    """One end of the connection between the tests' process and the program's.

    A line is either a request [operation, object, arguments, keywords], or a reply: ["value", result, arguments] (the
    arguments again, because a function may change them) or ["raised", class names, text]. While one side waits for a
    reply, it answers requests: a function that the tests pass to the program is called back.
    """

    def __init__(self, requests: Any, replies: Any, namespace: dict[str, object] | None) -> None:
        self.requests, self.replies, self.namespace = requests, replies, namespace
        self.objects: list[Any] = []

    def encode(self, value: Any) -> list[Any]:
        """Plain data as it is, any other object by its number."""
        return cast(list[Any], encode(value, self._reference))

    def decode(self, value: Any) -> Any:
        """The reverse of the other side's `encode`."""
        return decode(value, self._dereference)

    def _reference(self, value: Any) -> list[Any]:
        if type(value) is Remote:
            return ["yours", object.__getattribute__(value, "_index")]
        self.objects.append(value)
        return ["mine", len(self.objects) - 1]

    def _dereference(self, kind: Any, content: Any) -> Any:
        if kind == "mine":
            return Remote(self, int(content))
        if kind == "yours":
            return self.objects[int(content)]
        raise ValueError(kind)

    def ask(self, operation: str, target: Any, *arguments: Any, **keywords: Any) -> Any:
        """The result of an operation on an object of the other side; raises what it raised there."""
        self._send([operation, *map(self.encode, (target, list(arguments), keywords))])
        while True:
            message = json.loads(self.requests.readline())
            if message[0] == "value":
                for old, new in zip(arguments, message[2], strict=False):
                    _replace(old, self.decode(new))
                return self.decode(message[1])
            if message[0] == "raised":
                raise exception_of(message[1], message[2])
            self._answer(message)

    def serve(self) -> None:
        """Answer requests until the connection is closed."""
        while line := self.requests.readline():
            self._answer(json.loads(line))

    def _answer(self, message: Any) -> None:
        try:
            operation, target, arguments, keywords = message[0], *map(self.decode, message[1:])
            result = self._do(operation, target, arguments, keywords)
            after = [self.encode(a) if isinstance(a, MUTABLE) else ["atom", None] for a in arguments]
            reply = ["value", self.encode(result), after]
        except BaseException as error:
            try:
                reply = ["raised", [kind.__name__ for kind in type(error).__mro__], str(error)[:300]]
            except BaseException:
                reply = ["raised", ["Exception"], ""]
        self._send(reply)

    def _do(self, operation: str, target: Any, arguments: Any, keywords: Any) -> Any:
        if self.namespace is None:  # the tests' side: only what was passed to the program may be called
            if operation != "call":
                raise PermissionError(operation)
        elif operation == "load":
            return exec(compile(target, "<program>", "exec"), self.namespace)
        elif operation == "name":
            if target not in self.namespace:
                raise NameError(f"name {target!r} is not defined")
            return self.namespace[target]
        return OPERATIONS[operation](target, *arguments, **keywords)

    def _send(self, message: Any) -> None:
        self.replies.write(json.dumps(message) + "\n")
        self.replies.flush()


class Remote:
    """An object of the other process that is not plain data. It never equals plain data, and has no arithmetic.

    Both would be decided by the program: an object of its own could claim to equal every expected value.
    """

    def __init__(self, peer: Peer, index: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_index", index)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call it in the other process."""
        return _ask("call", self, *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        return _ask("attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask("assign", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return _ask("item", self, key)

    def __len__(self) -> int:
        return int(_ask("length", self))

    def __bool__(self) -> bool:
        return _ask("truth", self) is True

    def __str__(self) -> str:
        return str(_ask("text", self))

    def __iter__(self) -> Iterator[Any]:
        members = _ask("iterator", self)
        while True:
            try:
                yield _ask("next", members)
            except StopIteration:
                return

    def __eq__(self, other: object) -> bool:
        return type(other) is Remote and _ask("equal", self, other) is True

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "_index"))


def _ask(operation: str, remote: Remote, *arguments: Any, **keywords: Any) -> Any:
    return object.__getattribute__(remote, "_peer").ask(operation, remote, *arguments, **keywords)


def _replace(old: Any, new: Any) -> None:
    """Put the members of a list, dict or set in place of those of another one."""
    if type(old) is type(new) and type(old) in MUTABLE and old != new:
        old.clear()
        (old.extend if isinstance(old, list) else old.update)(new)


def exception_of(names: Any, text: Any) -> Exception:
    """An exception as it was raised in the other process: of the same built-in class, or derived from it."""
    for name in names:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(str(text)) if name == names[0] else type(str(names[0]), (kind,), {})(str(text))
            except TypeError:
                continue
    return RuntimeError(f"{names[0]}: {text}")


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, *arguments, **keywords: function(*arguments, **keywords),
    "attribute": getattr, "assign": setattr, "item": lambda value, key: value[key], "length": len, "truth": bool,
    "text": str, "iterator": iter, "next": next, "equal": lambda a, b: bool(a == b),
}  # fmt: skip
