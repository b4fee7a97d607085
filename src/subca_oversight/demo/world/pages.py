"""CP/CPS pages as CAs publish them: a title, a version table, and the sections that rules name."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import date

from subca_oversight.demo.world.authorities import CAMPUS, HARBOR, MERIDIAN, SIGNING_CA
from subca_oversight.demo.world.ccadb import OUTDATED_POLICY, STALE_POLICY


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A combined CP/CPS."""

    slug: str
    owner: str
    versions: tuple[tuple[str, date, str], ...]
    """Version, effective date, change; the newest last."""


DOCUMENTS = (
    PolicyDocument(
        "northgate",
        SIGNING_CA,
        (("4.2", date(2025, 5, 12), "Annual review"), ("4.3", date(2026, 5, 4), "Annual review")),
    ),
    PolicyDocument(
        "harbor",
        HARBOR,
        (
            ("1.4", date(2025, 6, 20), "Validity of 200 days from March 2026"),
            ("1.5", date(2026, 6, 15), "Adherence to the CCADB Policy stated"),
        ),
    ),
    PolicyDocument(
        "meridian",
        MERIDIAN,
        (
            ("6.9", OUTDATED_POLICY, "Annual review"),
            ("7.0", date(2026, 3, 30), "Reuse periods of SC-081 adopted"),
        ),
    ),
    PolicyDocument("campus", CAMPUS, (("2.1", STALE_POLICY, "Mass revocation plan"),)),
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{owner} CP/CPS {version}</title></head>
<body>
<h1>{owner}: Certificate Policy and Certification Practice Statement</h1>
<p>Version {version}, effective {effective}</p>
<h2>1.1 Overview</h2>
<p>{owner} conforms to the current version of the Baseline Requirements for the Issuance and
Management of Publicly-Trusted TLS Server Certificates, and adheres to the CCADB Policy and the
Chrome Root Program Policy.</p>
<h2>Revision history</h2>
<table>
<tr><th>Version</th><th>Effective</th><th>Change</th></tr>
{rows}
</table>
<h2>4.9.12 Special requirements regarding key compromise</h2>
<p>Compromise is proven by a signature over a text of the CA's choosing, or by the private key.</p>
<h2>5.7.1 Incident and compromise handling</h2>
<p>{owner} maintains a mass revocation plan and tests it every year.</p>
<h2>6.3.2 Certificate operational periods</h2>
<p>Subscriber certificates are valid for at most 200 days.</p>
</body>
</html>
"""


def render_policy(document: PolicyDocument) -> bytes:
    """The page's HTML."""
    rows = "\n".join(
        f"<tr><td>{version}</td><td>{effective}</td><td>{html.escape(change)}</td></tr>"
        for version, effective, change in document.versions
    )
    version, effective, _ = document.versions[-1]
    owner = html.escape(document.owner)
    return _PAGE.format(owner=owner, version=version, effective=effective, rows=rows).encode()
