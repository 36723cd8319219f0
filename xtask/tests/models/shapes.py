"""Holds a value against a shape of a service model: members, types, enumerations, lengths, ranges and patterns.

A value is made of what Python has for each type: a dict for a structure and a map, bytes for a blob, a number or a datetime for a
timestamp. Source of the rules: "Service definition format" of botocore, and Smithy's specification, "Constraint traits".
"""

import dataclasses
import datetime
import functools
import re
import warnings

from deviations import as_in_ecr

WHOLE_NUMBERS = ("integer", "long", "short", "byte")
NUMBERS = ("float", "double")

# Patterns that were asked for and are written in a way that Python's `re` does not read.
unreadable_patterns = set()


@dataclasses.dataclass(frozen=True, order=True)
class Difference:
    """What a model wants otherwise."""

    # The member, from the outermost in: `imageDetails[].imageDigest`.
    where: str
    # What it is and what the model wants.
    what: str


def differences(shape, value, where=""):
    """Yields each difference between a value and its shape."""
    if value is None:
        yield Difference(where, "is null; AWS leaves a member out")
    elif shape.type_name == "structure":
        yield from of_structure(shape, value, where)
    elif shape.type_name == "list":
        yield from of_list(shape, value, where)
    elif shape.type_name == "map":
        yield from of_map(shape, value, where)
    elif not has_type(shape, value):
        yield Difference(where, f"is {shown(value)}; the model wants the type {shape.type_name}")
    else:
        yield from of_scalar(shape, value, where)


def of_structure(shape, value, where):
    if getattr(shape, "is_document_type", False):
        return
    if not isinstance(value, dict):
        yield Difference(where, f"is {shown(value)}; the model wants a structure")
        return
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield Difference(where, f"has {sorted(value)}; the model wants one member")
    for name in shape.required_members:
        if name not in value:
            yield Difference(inner(where, name), "is missing; the model requires it")
    for name, member in value.items():
        if name in shape.members:
            yield from differences(shape.members[name], member, inner(where, name))
        else:
            yield Difference(inner(where, name), f"is no member of {shape.name}")


def of_list(shape, value, where):
    if not isinstance(value, list):
        yield Difference(where, f"is {shown(value)}; the model wants a list")
        return
    yield from of_size(shape, len(value), where, "entries")
    for entry in value:
        yield from differences(shape.member, entry, f"{where}[]")


def of_map(shape, value, where):
    if not isinstance(value, dict):
        yield Difference(where, f"is {shown(value)}; the model wants a map")
        return
    yield from of_size(shape, len(value), where, "entries")
    for key, entry in value.items():
        yield from differences(shape.key, key, f"{where}{{key}}")
        yield from differences(shape.value, entry, f"{where}{{}}")


def of_scalar(shape, value, where):
    kind = shape.type_name
    if kind in WHOLE_NUMBERS + NUMBERS:
        yield from of_size(shape, value, where, "as its value")
    elif kind == "blob":
        yield from of_size(shape, len(value), where, "bytes")
    elif kind == "string":
        value = as_in_ecr(value)
        yield from of_size(shape, len(value), where, "characters")
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield Difference(where, f"is {shown(value)}; the model has {', '.join(shape.enum)}")
        pattern = shape.metadata.get("pattern")
        if pattern and not fits(pattern, value):
            yield Difference(where, f"is {shown(value)}; the model wants the pattern {pattern}")


def of_size(shape, size, where, unit):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < least:
        yield Difference(where, f"has {size} {unit}; the model wants {least} at least")
    if most is not None and size > most:
        yield Difference(where, f"has {size} {unit}; the model wants {most} at most")


def has_type(shape, value):
    kind = shape.type_name
    if isinstance(value, bool):
        return kind == "boolean"
    if kind in WHOLE_NUMBERS:
        return isinstance(value, int)
    if kind in NUMBERS:
        return isinstance(value, (int, float)) or value in ("NaN", "Infinity", "-Infinity")
    if kind == "timestamp":
        return isinstance(value, (int, float, datetime.datetime))
    if kind == "blob":
        return isinstance(value, bytes)
    return kind in ("string", "character") and isinstance(value, str)


def fits(pattern, text):
    """Whether a text fits a pattern as a whole, as AWS has it. One that cannot be read fits everything, and is counted."""
    expression = compiled(pattern)
    if expression is None:
        unreadable_patterns.add(pattern)
        return True
    return expression.fullmatch(text) is not None


@functools.lru_cache(maxsize=None)
def compiled(pattern):
    # What Python takes for something else than Java does, it warns of.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return re.compile(pattern, re.ASCII)
        except (re.error, FutureWarning, DeprecationWarning):
            return None


def inner(where, name):
    return f"{where}.{name}" if where else name


def shown(value):
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:90]}…"
