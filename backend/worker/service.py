"""The worker: does a piece of work and says how it went."""

import hashlib

import machine
import orjson


def answer(path):
    """The digest of what it was given, as JSON bytes."""
    digest = hashlib.sha256(path.encode()).hexdigest()
    return orjson.dumps({**machine.facts("worker"), "digest": digest})
