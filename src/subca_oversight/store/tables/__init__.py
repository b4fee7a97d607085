"""Every table. Import from here, so that the metadata is always complete."""

from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

from subca_oversight.store.tables.certificates import (  # noqa: E402 - after the naming convention
    AuthoritySightingRow,
    CertificateRow,
    ChainCertificateRow,
    CheckCoverageRow,
    CheckFailureRow,
    LintResultRow,
    LintRunRow,
    OperatorCertificateRow,
    SightingRow,
    UnitRow,
)
from subca_oversight.store.tables.findings import (  # noqa: E402
    FindingRow,
    FindingUnitRow,
    FindingVersionRow,
    TransitionRow,
    WaiverRow,
)
from subca_oversight.store.tables.logs import (  # noqa: E402
    LogEventRow,
    LogEvidenceRow,
    LogListingRow,
    LogListRow,
    LogRow,
    MalformedEntryRow,
    PendingEntryRow,
    TreeHeadRow,
    UnconfirmedMatchRow,
    WatchSetRow,
    WindowRow,
)
from subca_oversight.store.tables.operations import (  # noqa: E402
    AlertEventRow,
    CcadbSnapshotRow,
    DeliveryRow,
    DrawMemberRow,
    DrawRow,
    JobRunRow,
    LeaseRow,
    ObservationRow,
    ReportRow,
    SourceRow,
)
from subca_oversight.store.tables.subordinates import (  # noqa: E402
    AuthorityCertificateRow,
    SubordinateRow,
    WatchedKeyRow,
)

METADATA = SQLModel.metadata

__all__ = [
    "METADATA",
    "AlertEventRow",
    "AuthorityCertificateRow",
    "AuthoritySightingRow",
    "CcadbSnapshotRow",
    "CertificateRow",
    "ChainCertificateRow",
    "CheckCoverageRow",
    "CheckFailureRow",
    "DeliveryRow",
    "DrawMemberRow",
    "DrawRow",
    "FindingRow",
    "FindingUnitRow",
    "FindingVersionRow",
    "JobRunRow",
    "LeaseRow",
    "LintResultRow",
    "LintRunRow",
    "LogEventRow",
    "LogEvidenceRow",
    "LogListRow",
    "LogListingRow",
    "LogRow",
    "MalformedEntryRow",
    "ObservationRow",
    "OperatorCertificateRow",
    "PendingEntryRow",
    "ReportRow",
    "SightingRow",
    "SourceRow",
    "SubordinateRow",
    "TransitionRow",
    "TreeHeadRow",
    "UnconfirmedMatchRow",
    "UnitRow",
    "WaiverRow",
    "WatchSetRow",
    "WatchedKeyRow",
    "WindowRow",
]
