"""The API: says what it runs on."""

import machine
import orjson  # A wheel with native code: it loads on the right CPU alone.


def answer(path):
    """The answer to a request for a path, as JSON bytes."""
    return orjson.dumps({**machine.facts("api"), "path": path})
