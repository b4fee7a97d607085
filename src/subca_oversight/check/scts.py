"""The embedded SCTs of a certificate, for checks that judge them.

A certificate without them is not wrong: SCTs may also come in the TLS handshake (RFC 6962 3.3). One
whose SCTs nobody verified cannot be judged, which is not the same as being in order.
"""

from __future__ import annotations

from subca_oversight.check.api import CannotJudge
from subca_oversight.evidence.structure import SCT_LIST
from subca_oversight.model.certificate import CertificateFacts, CertificateKind
from subca_oversight.model.sct import SctAudit


def has_sct_list(certificate: CertificateFacts) -> bool:
    """Whether this is a final certificate with an SCT list extension."""
    is_final = certificate.kind is CertificateKind.FINAL
    return is_final and SCT_LIST in certificate.extension_oids


def audited_scts(certificate: CertificateFacts) -> SctAudit:
    """Give the verdicts on the SCTs; raise CannotJudge where there are none to be had."""
    audit = certificate.sct_audit
    if audit is None:
        raise CannotJudge("the embedded SCTs were not verified: the logs' keys are not at hand")
    if audit.problem is not None:
        raise CannotJudge(f"the SCTs could not be verified: {audit.problem}")
    return audit
