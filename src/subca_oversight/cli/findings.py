"""``findings``: list and show findings, and one command per step of their life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from subca_oversight.cli.invocation import INSTANT, invocation_of
from subca_oversight.errors import ConfigurationError
from subca_oversight.findings.lifecycle import STEPS, Verb
from subca_oversight.model.finding import FindingState, Severity

_SUMMARY = {
    Verb.ACKNOWLEDGE: "State that somebody has taken the finding up.",
    Verb.CONFIRM: "State that the breach is real.",
    Verb.DISPUTE: "State that the other party denies the breach.",
    Verb.NOT_A_VIOLATION: "Decide, with an approver, that nothing is broken.",
    Verb.ACCEPT_RISK: "Accept the risk until a day, with an owner.",
    Verb.REMEDIATE: "State that the breach was mended.",
    Verb.CLOSE: "Close the finding.",
    Verb.REOPEN: "Open the finding again.",
}


@click.group()
def findings() -> None:
    """Findings and decisions on them."""


@findings.command("list")
@click.option("--subordinate", help="Findings of this subordinate only.")
@click.option("--state", multiple=True, type=click.Choice([state.value for state in FindingState]))
@click.option("--check", help="Findings of this check only.")
@click.option(
    "--fail-on",
    type=click.Choice([severity.value for severity in Severity]),
    help="Exit with 1 where a finding of this severity or worse is still to be acted on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
@click.pass_context
def list_findings(
    context: click.Context,
    *,
    subordinate: str | None,
    state: tuple[str, ...],
    check: str | None,
    fail_on: str | None,
    as_json: bool,
) -> None:
    """List findings, most severe first."""
    from subca_oversight.cli.output import print_json, print_table
    from subca_oversight.evidence.registration import load_anchor
    from subca_oversight.findings.decisions import find_findings
    from subca_oversight.findings.lifecycle import ACTIONABLE

    invocation = invocation_of(context)
    with invocation.open_database() as database, database.read() as session:
        anchor = None if subordinate is None else load_anchor(session, subordinate)
        states = frozenset(FindingState(value) for value in state) if len(state) > 0 else None
        found = find_findings(session, anchor=anchor, states=states, check=check)
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "check": one.check,
                    "subordinate": one.subordinate,
                    "subject": one.subject,
                    "severity": one.severity,
                    "state": one.state,
                    "requirement": one.requirement,
                    "revocation": one.revocation,
                    "first_seen": one.first_seen,
                    "last_seen": one.last_seen,
                    "deadline": one.deadline,
                    "affected": one.affected,
                    "message": one.message,
                    "baseline": one.baseline,
                    "reproduced": one.reproduced,
                }
                for one in found
            ]
        )
    else:
        print_table(
            f"{len(found)} findings",
            ("id", "severity", "state", "subordinate", "check", "what", "units", "deadline"),
            [
                (
                    f.id,
                    f.severity,
                    f.state,
                    f.subordinate,
                    f.check,
                    f.message,
                    f.affected,
                    f.deadline,
                )
                for f in found
            ],
        )
    if fail_on is not None:
        order = list(Severity)
        worst = order[: order.index(Severity(fail_on)) + 1]
        if any(one.severity in worst and one.state in ACTIONABLE for one in found):
            context.exit(1)


@findings.command("show")
@click.argument("finding_id")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.pass_context
def show_finding(context: click.Context, finding_id: str, *, as_json: bool) -> None:
    """Show one finding with its evidence, its units and its trail."""
    from subca_oversight.cli.output import format_instant, print_json, visible
    from subca_oversight.findings.decisions import (
        find_affected_units,
        find_transitions,
        load_finding,
    )

    invocation = invocation_of(context)
    with invocation.open_database() as database, database.read() as session:
        finding = load_finding(session, finding_id)
        trail = find_transitions(session, finding.fingerprint)
        units = find_affected_units(session, finding.fingerprint)
    if as_json:
        print_json({"finding": finding, "units": units, "trail": trail})
        return
    deadline = "none" if finding.deadline is None else format_instant(finding.deadline)
    lines = [
        f"{finding.id}  {finding.severity}  {finding.state}",
        f"check        {finding.check}",
        f"requirement  {finding.requirement} (revocation: {finding.revocation})",
        f"subordinate  {finding.subordinate}",
        f"subject      {finding.subject_kind} {finding.subject}",
        f"what         {finding.message}",
        f"first seen   {format_instant(finding.first_seen)}",
        f"last seen    {format_instant(finding.last_seen)}",
        f"deadline     {deadline}",
        *(f"evidence     {e.kind} {e.reference} {e.detail}" for e in finding.evidence),
        *(f"unit         {unit}" for unit in units),
        *(
            f"trail        {format_instant(t.at)} {t.source or 'new'} -> {t.target}"
            f" by {t.actor}: {t.reason}"
            for t in trail
        ),
    ]
    click.echo("\n".join(visible(line) for line in lines))


@findings.command("waive")
@click.option("--check", required=True, help="Id of the check.")
@click.option("--subordinate", help="This subordinate only.")
@click.option("--subject", help="This subject only: a unit id or certificate SHA-256.")
@click.option("--reason", required=True)
@click.option("--approver", required=True)
@click.option("--expires", required=True, type=INSTANT)
@click.pass_context
def waive(
    context: click.Context,
    *,
    check: str,
    subordinate: str | None,
    subject: str | None,
    reason: str,
    approver: str,
    expires: datetime,
) -> None:
    """Accept findings of a check that are still to come, until a day."""
    from subca_oversight.check.registry import load_registry
    from subca_oversight.evidence.registration import load_anchor
    from subca_oversight.findings.waivers import add_waiver

    invocation = invocation_of(context)
    settings = invocation.load_settings()
    if ":" not in check and check not in load_registry(settings.checks.directory).checks:
        raise ConfigurationError(f"--check: there is no check {check}; see: checks list")
    with invocation.open_database(settings) as database, database.write() as session:
        number = add_waiver(
            session,
            check=check,
            anchor=None if subordinate is None else load_anchor(session, subordinate),
            subject=subject,
            reason=reason,
            approver=approver,
            expires=expires,
            now=invocation.now(),
        )
    click.echo(f"waiver {number} recorded")


def _declare(verb: Verb) -> None:
    step = STEPS[verb]

    def command(
        context: click.Context,
        finding_id: str,
        *,
        actor: str,
        reason: str,
        approver: str | None = None,
        owner: str | None = None,
        expires: datetime | None = None,
    ) -> None:
        from subca_oversight.findings.decisions import decide
        from subca_oversight.findings.lifecycle import Decision

        invocation = invocation_of(context)
        decision = Decision(verb, actor, reason, approver, owner, expires)
        with invocation.open_database() as database, database.write() as session:
            finding = decide(session, finding_id, decision, now=invocation.now())
        click.echo(f"{finding.id} is {finding.state}")

    decorators: list[Callable[[Callable[..., None]], Callable[..., None]]] = [
        click.argument("finding_id"),
        click.option("--actor", required=True, help="Who decides."),
        click.option("--reason", required=True, help="Why."),
    ]
    if step.needs_approver:
        decorators.append(click.option("--approver", required=True, help="Who approves."))
    if step.needs_owner:
        decorators.append(click.option("--owner", required=True, help="Who owns the risk."))
    if step.needs_expiry:
        decorators.append(
            click.option("--expires", required=True, type=INSTANT, help="Until when.")
        )
    decorated: Callable[..., None] = click.pass_context(command)
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    findings.command(verb.value, help=_SUMMARY[verb])(decorated)


for _verb in Verb:
    _declare(_verb)
