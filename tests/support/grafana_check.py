"""Reads a dashboard by Grafana's own types, and says what they do not know or take."""

import enum
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog import runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard

wrong = []


def fits(value, kind):
    """Whether a decoded value is of a type of Grafana's."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in (typing.Any, object) or isinstance(kind, typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in args)
    if origin is typing.Literal:
        return value in args
    if origin is list:
        return isinstance(value, list) and all(fits(one, args[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(one, args[1]) for one in value.values())
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in [one.value for one in kind]
    return isinstance(value, kind) if isinstance(kind, type) else True


def walk(thing, path):
    """Every attribute of every object against its annotation."""
    if isinstance(thing, list):
        for index, one in enumerate(thing):
            walk(one, f"{path}[{index}]")
    elif isinstance(thing, dict):
        for key, one in thing.items():
            walk(one, f"{path}.{key}")
    elif type(thing).__module__.startswith("grafana_foundation_sdk") and hasattr(thing, "__dict__"):
        if type(thing).__name__ == "UnknownDataquery":
            wrong.append(f"{path}: no data source of Grafana's has such a query")
            return
        kinds = typing.get_type_hints(type(thing))
        for name, value in vars(thing).items():
            if name in kinds and not fits(value, kinds[name]):
                wrong.append(f"{path}.{name}: {value!r} is no {kinds[name]}")
            walk(value, f"{path}.{name}")


def kept(ours, theirs, path):
    """What was written stands in what is read."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key not in theirs:
                wrong.append(f"{path}.{key}: Grafana does not know it")
            else:
                kept(value, theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            kept(one, other, f"{path}[{index}]")
    elif ours != theirs:
        wrong.append(f"{path}: {ours!r} is read as {theirs!r}")


register_default_plugins()
written = json.load(sys.stdin)
read = dashboard.Dashboard.from_json(written)
walk(read, "")
kept(written, json.loads(JSONEncoder().encode(read)), "")
print("\n".join(wrong[:40]))
sys.exit(1 if wrong else 0)
