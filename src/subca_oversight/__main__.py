"""``python -m subca_oversight``, and the console script's entry point."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from subca_oversight.cli.root import main as run  # noqa: PLC0415 - spawned workers import this

    sys.exit(run())


if __name__ == "__main__":
    main()
