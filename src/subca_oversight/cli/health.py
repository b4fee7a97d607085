"""``health``: ask the running daemon how it is; made for container health checks."""

from __future__ import annotations

import asyncio

import click

from subca_oversight.cli.invocation import invocation_of
from subca_oversight.errors import OversightError


@click.command()
@click.pass_context
def health(context: click.Context) -> None:
    """Exit with 0 when the daemon is ready, else with 1 and the reasons."""
    settings = invocation_of(context).load_settings()
    ready, answer = asyncio.run(_ask(settings.daemon.listen))
    click.echo(answer)
    if not ready:
        context.exit(1)


async def _ask(listen: str) -> tuple[bool, str]:
    host, _, port = listen.rpartition(":")
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n")
            await writer.drain()
            answer = await reader.read(65_536)
            writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        raise OversightError(
            f"the daemon does not answer on {listen}: {error}; is it running?"
        ) from error
    head, _, body = answer.partition(b"\r\n\r\n")
    return b" 200 " in head.split(b"\r\n")[0] + b" ", body.decode("utf-8", "replace").strip()
