"""What every command shares: where the configuration lies, the clock, and the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from subca_oversight.errors import ConfigurationError

if TYPE_CHECKING:
    from subca_oversight.settings import Settings
    from subca_oversight.store.database import Database


@dataclass(frozen=True, slots=True)
class Invocation:
    """The options before the command's name."""

    configuration: Path
    debug: bool
    at: datetime | None
    """A frozen clock, for replays; None for the real one."""

    def now(self) -> datetime:
        """The instant that every job takes as its argument."""
        return datetime.now(UTC) if self.at is None else self.at

    def load_settings(self) -> Settings:
        """Read the configuration. Raises ConfigurationError."""
        from subca_oversight.settings import load_settings

        return load_settings(self.configuration)

    @contextmanager
    def open_database(
        self, settings: Settings | None = None, *, create: bool = True
    ) -> Iterator[Database]:
        """The configured database, with its schema checked, or made. Raises StoreError."""
        from subca_oversight.store.database import Database
        from subca_oversight.store.schema import ensure_schema

        chosen = self.load_settings() if settings is None else settings
        database = Database(chosen.database_url)
        try:
            ensure_schema(database, create=create)
            yield database
        finally:
            database.close()


def invocation_of(context: click.Context) -> Invocation:
    """The invocation that the root command stored."""
    found = context.find_object(Invocation)
    if found is None:
        raise ConfigurationError("this command runs under subca-oversight only")
    return found


class Instant(click.ParamType[datetime]):
    """An instant in RFC 3339, or a date, which stands for its first moment in UTC."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Aware UTC. Fails the command line on anything else."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no instant; write 2026-11-24T12:00:00Z", param, ctx)
        if parsed.tzinfo is None:
            if len(text) > len("2026-11-24"):
                self.fail(f"{text!r} names no time zone; append Z for UTC", param, ctx)
            parsed = parsed.replace(tzinfo=UTC)
        return parsed.astimezone(UTC)


INSTANT = Instant()
