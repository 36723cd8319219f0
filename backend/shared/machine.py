"""What this code runs on."""

import os
import platform


def facts(name):
    """The service's name, the CPU that it runs on, and the commit that it was built from."""
    return {
        "service": name,
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "revision": os.environ.get("REVISION", "unknown"),
    }
