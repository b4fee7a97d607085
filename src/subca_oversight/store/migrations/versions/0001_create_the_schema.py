"""Create the schema."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from subca_oversight.store.columns import SafeText

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", AutoString(length=64), nullable=False),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=True),
        sa.Column("check_id", AutoString(length=200), nullable=False),
        sa.Column("fingerprint", AutoString(length=64), nullable=True),
        sa.Column("severity", AutoString(length=16), nullable=False),
        sa.Column("text", SafeText(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("notice_id", AutoString(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_event")),
        sa.UniqueConstraint("key", name=op.f("uq_alert_event_key")),
    )
    with op.batch_alter_table("alert_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alert_event_notice_id"), ["notice_id"], unique=False)

    op.create_table(
        "authority_sighting",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("certificate_sha256", AutoString(length=64), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "index", name=op.f("pk_authority_sighting")),
    )
    with op.batch_alter_table("authority_sighting", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_authority_sighting_certificate_sha256"),
            ["certificate_sha256"],
            unique=False,
        )

    op.create_table(
        "ccadb_snapshot",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", AutoString(length=16), nullable=False),
        sa.Column("source", SafeText(), nullable=False),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("layout", AutoString(length=16), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("imported_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ccadb_snapshot")),
    )
    with op.batch_alter_table("ccadb_snapshot", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ccadb_snapshot_sha256"), ["sha256"], unique=False)

    op.create_table(
        "chain_certificate",
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("spki_sha256", AutoString(length=64), nullable=True),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("considered_with", AutoString(length=64), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_chain_certificate")),
    )
    with op.batch_alter_table("chain_certificate", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_chain_certificate_considered_with"), ["considered_with"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_chain_certificate_spki_sha256"), ["spki_sha256"], unique=False
        )

    op.create_table(
        "check_coverage",
        sa.Column("check_id", AutoString(length=64), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("rule_version", AutoString(length=64), nullable=False),
        sa.Column("clear", sa.BigInteger(), nullable=False),
        sa.Column("breach", sa.BigInteger(), nullable=False),
        sa.Column("could_not_run", sa.BigInteger(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("check_id", "anchor", name=op.f("pk_check_coverage")),
    )
    op.create_table(
        "check_failure",
        sa.Column("check_id", AutoString(length=64), nullable=False),
        sa.Column("subject", AutoString(length=96), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("reason", SafeText(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("check_id", "subject", name=op.f("pk_check_failure")),
    )
    with op.batch_alter_table("check_failure", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_check_failure_anchor"), ["anchor"], unique=False)

    op.create_table(
        "delivery",
        sa.Column("notice_id", AutoString(length=64), nullable=False),
        sa.Column("channel", AutoString(length=32), nullable=False),
        sa.Column("severity", AutoString(length=16), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=True),
        sa.Column("subject", SafeText(), nullable=False),
        sa.Column("payload", SafeText(), nullable=False),
        sa.Column("grouping", AutoString(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UTCDateTime(), nullable=False),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("last_error", SafeText(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", "channel", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            "ix_delivery_grouping_sequence", ["grouping", "sequence"], unique=False
        )
        batch_op.create_index("ix_delivery_state_next", ["state", "next_attempt_at"], unique=False)

    op.create_table(
        "draw",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("drawn_at", UTCDateTime(), nullable=False),
        sa.Column("population_end", UTCDateTime(), nullable=False),
        sa.Column("commitment", AutoString(length=64), nullable=False),
        sa.Column("public_value", SafeText(), nullable=False),
        sa.Column("population", sa.BigInteger(), nullable=False),
        sa.Column("drawn", sa.BigInteger(), nullable=False),
        sa.Column("transcript", SafeText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draw")),
    )
    with op.batch_alter_table("draw", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_draw_anchor"), ["anchor"], unique=False)

    op.create_table(
        "finding",
        sa.Column("fingerprint", AutoString(length=64), nullable=False),
        sa.Column("check_id", AutoString(length=200), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column(
            "subject_kind",
            sa.Enum(
                "unit",
                "authority",
                "entry",
                "subordinate",
                name="subjectkind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("subject", SafeText(), nullable=False),
        sa.Column("key", SafeText(), nullable=False),
        sa.Column(
            "severity",
            sa.Enum("violation", "should", "notice", name="severity", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "acknowledged",
                "confirmed",
                "remediated",
                "closed",
                "disputed",
                "not_a_violation",
                "risk_accepted",
                name="findingstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("requirement", SafeText(), nullable=False),
        sa.Column(
            "revocation",
            sa.Enum("24h", "5d", "7d?", "none", name="revocation", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("message", SafeText(), nullable=False),
        sa.Column("evidence", SafeText(), nullable=False),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.Column("last_seen", UTCDateTime(), nullable=False),
        sa.Column("deadline", UTCDateTime(), nullable=True),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.Column("reproduced", sa.Boolean(), nullable=False),
        sa.Column("rule_version", AutoString(length=64), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_finding")),
    )
    with op.batch_alter_table("finding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_finding_anchor"), ["anchor"], unique=False)
        batch_op.create_index(batch_op.f("ix_finding_check_id"), ["check_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_finding_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_finding_subject"), ["subject"], unique=False)

    op.create_table(
        "job_run",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job", AutoString(length=32), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("outcome", AutoString(length=16), nullable=False),
        sa.Column("detail", SafeText(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_run")),
    )
    with op.batch_alter_table("job_run", schema=None) as batch_op:
        batch_op.create_index("ix_job_run_job_started", ["job", "started_at"], unique=False)

    op.create_table(
        "lease",
        sa.Column("name", AutoString(length=32), nullable=False),
        sa.Column("holder", SafeText(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "lint_result",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("certificate_sha256", AutoString(length=64), nullable=False),
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("tool", AutoString(length=32), nullable=False),
        sa.Column("lint", SafeText(), nullable=False),
        sa.Column("severity", AutoString(length=16), nullable=False),
        sa.Column("profile", SafeText(), nullable=False),
        sa.Column("message", SafeText(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lint_result")),
    )
    with op.batch_alter_table("lint_result", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_lint_result_certificate_sha256"), ["certificate_sha256"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_lint_result_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "lint_run",
        sa.Column("certificate_sha256", AutoString(length=64), nullable=False),
        sa.Column("tool", AutoString(length=32), nullable=False),
        sa.Column("profile", SafeText(), nullable=False),
        sa.Column("versions", SafeText(), nullable=False),
        sa.Column("error", SafeText(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_sha256", "tool", name=op.f("pk_lint_run")),
    )
    op.create_table(
        "log",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("description", SafeText(), nullable=False),
        sa.Column("operator", SafeText(), nullable=False),
        sa.Column("api", AutoString(length=16), nullable=False),
        sa.Column("submission_url", SafeText(), nullable=False),
        sa.Column("monitoring_url", SafeText(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("mmd", sa.BigInteger(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("state_since", UTCDateTime(), nullable=True),
        sa.Column("interval_start", UTCDateTime(), nullable=True),
        sa.Column("interval_end", UTCDateTime(), nullable=True),
        sa.Column("final_size", sa.BigInteger(), nullable=True),
        sa.Column("final_root", sa.LargeBinary(), nullable=True),
        sa.Column("log_type", SafeText(), nullable=True),
        sa.Column("monitored", sa.Boolean(), nullable=False),
        sa.Column("unmonitored_since", UTCDateTime(), nullable=True),
        sa.Column("polled_at", UTCDateTime(), nullable=True),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.Column("last_seen", UTCDateTime(), nullable=False),
        sa.Column("serves_tiles", sa.Boolean(), nullable=True),
        sa.Column("begun_with", AutoString(length=32), nullable=True),
        sa.Column("head_size", sa.BigInteger(), nullable=True),
        sa.Column("head_timestamp_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_success", UTCDateTime(), nullable=True),
        sa.Column("last_error", SafeText(), nullable=True),
        sa.Column("quarantined_at", UTCDateTime(), nullable=True),
        sa.Column("quarantine_reason", SafeText(), nullable=True),
        sa.PrimaryKeyConstraint("log_id", name=op.f("pk_log")),
    )
    op.create_table(
        "log_list",
        sa.Column("source", SafeText(), nullable=False),
        sa.Column("version", SafeText(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=True),
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", UTCDateTime(), nullable=False),
        sa.Column("verified_with", AutoString(length=64), nullable=True),
        sa.Column("etag", AutoString(length=512), nullable=True),
        sa.Column("last_modified", AutoString(length=512), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_log_list")),
    )
    op.create_table(
        "malformed_entry",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("reason", SafeText(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "index", name=op.f("pk_malformed_entry")),
    )
    op.create_table(
        "observation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation")),
    )
    with op.batch_alter_table("observation", schema=None) as batch_op:
        batch_op.create_index("ix_observation_anchor_at", ["anchor", "at"], unique=False)

    op.create_table(
        "report",
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("quarter", AutoString(length=6), nullable=False),
        sa.Column("as_of", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("anchor", "quarter", name=op.f("pk_report")),
    )
    op.create_table(
        "source",
        sa.Column("source", SafeText(), nullable=False),
        sa.Column("last_attempt", UTCDateTime(), nullable=False),
        sa.Column("last_success", UTCDateTime(), nullable=True),
        sa.Column("last_error", SafeText(), nullable=True),
        sa.Column("detail", SafeText(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source")),
    )
    op.create_table(
        "subordinate",
        sa.Column("anchor", AutoString(length=64), nullable=False),
        sa.Column("name", SafeText(), nullable=False),
        sa.Column("operator", SafeText(), nullable=False),
        sa.Column(
            "relation",
            sa.Enum(
                "externally-operated",
                "cross-signed",
                "on-premises",
                name="relation",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("contacts", SafeText(), nullable=False),
        sa.Column("contract_end", sa.Date(), nullable=True),
        sa.Column("registered_at", UTCDateTime(), nullable=False),
        sa.Column("retired_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("anchor", name=op.f("pk_subordinate")),
        sa.UniqueConstraint("name", name=op.f("uq_subordinate_name")),
    )
    op.create_table(
        "unconfirmed_match",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("issuer_key_sha256", AutoString(length=64), nullable=False),
        sa.Column("unit_id", AutoString(length=64), nullable=True),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", SafeText(), nullable=False),
        sa.Column("blames_log", sa.Boolean(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("log_id", "index", name=op.f("pk_unconfirmed_match")),
    )
    with op.batch_alter_table("unconfirmed_match", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_unconfirmed_match_issuer_key_sha256"),
            ["issuer_key_sha256"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_unconfirmed_match_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "unit",
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("issuer_key_sha256", AutoString(length=64), nullable=False),
        sa.Column("serial_hex", SafeText(), nullable=True),
        sa.Column("first_logged_ms", sa.BigInteger(), nullable=True),
        sa.Column("not_before", UTCDateTime(), nullable=True),
        sa.Column("not_after", UTCDateTime(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.Column("checked_with", AutoString(length=64), nullable=True),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_unit")),
    )
    with op.batch_alter_table("unit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_unit_checked_with"), ["checked_with"], unique=False)
        batch_op.create_index(
            "ix_unit_issuer_first", ["issuer_key_sha256", "first_logged_ms"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_unit_not_after"), ["not_after"], unique=False)

    op.create_table(
        "waiver",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("check_id", AutoString(length=200), nullable=False),
        sa.Column("anchor", AutoString(length=64), nullable=True),
        sa.Column("subject", SafeText(), nullable=True),
        sa.Column("reason", SafeText(), nullable=False),
        sa.Column("approver", SafeText(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiver")),
    )
    with op.batch_alter_table("waiver", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_waiver_check_id"), ["check_id"], unique=False)

    op.create_table(
        "watch_set",
        sa.Column("digest", AutoString(length=64), nullable=False),
        sa.Column("keys", SafeText(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_watch_set")),
    )
    op.create_table(
        "authority_certificate",
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("spki_sha256", AutoString(length=64), nullable=False),
        sa.Column("anchor", AutoString(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column(
            "provenance",
            sa.Enum(
                "configuration",
                "ccadb",
                "chain",
                name="keyprovenance",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.Column("issuer_key_sha256", AutoString(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["anchor"],
            ["subordinate.anchor"],
            name=op.f("fk_authority_certificate_anchor_subordinate"),
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_authority_certificate")),
    )
    with op.batch_alter_table("authority_certificate", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_authority_certificate_anchor"), ["anchor"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_authority_certificate_spki_sha256"), ["spki_sha256"], unique=False
        )

    op.create_table(
        "certificate",
        sa.Column("sha256", AutoString(length=64), nullable=False),
        sa.Column("unit_id", AutoString(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "precertificate", "final", name="certificatekind", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("problem", SafeText(), nullable=True),
        sa.Column("linted_with", AutoString(length=160), nullable=True),
        sa.ForeignKeyConstraint(
            ["unit_id"], ["unit.unit_id"], name=op.f("fk_certificate_unit_id_unit")
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_certificate")),
    )
    with op.batch_alter_table("certificate", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_certificate_linted_with"), ["linted_with"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_certificate_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "draw_member",
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("draw_id", sa.BigInteger(), nullable=False),
        sa.Column("stratum", AutoString(length=64), nullable=False),
        sa.Column("drawn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["draw_id"], ["draw.id"], name=op.f("fk_draw_member_draw_id_draw")),
        sa.PrimaryKeyConstraint("unit_id", name=op.f("pk_draw_member")),
    )
    with op.batch_alter_table("draw_member", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_draw_member_draw_id"), ["draw_id"], unique=False)

    op.create_table(
        "finding_transition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fingerprint", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("from_state", AutoString(length=32), nullable=False),
        sa.Column("to_state", AutoString(length=32), nullable=False),
        sa.Column("actor", SafeText(), nullable=False),
        sa.Column("reason", SafeText(), nullable=False),
        sa.Column("approver", SafeText(), nullable=True),
        sa.Column("owner", SafeText(), nullable=True),
        sa.Column("expires", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["fingerprint"],
            ["finding.fingerprint"],
            name=op.f("fk_finding_transition_fingerprint_finding"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_transition")),
    )
    with op.batch_alter_table("finding_transition", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_finding_transition_fingerprint"), ["fingerprint"], unique=False
        )

    op.create_table(
        "finding_unit",
        sa.Column("fingerprint", AutoString(), nullable=False),
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.Column("gone_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["fingerprint"],
            ["finding.fingerprint"],
            name=op.f("fk_finding_unit_fingerprint_finding"),
        ),
        sa.PrimaryKeyConstraint("fingerprint", "unit_id", name=op.f("pk_finding_unit")),
    )
    with op.batch_alter_table("finding_unit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_finding_unit_unit_id"), ["unit_id"], unique=False)

    op.create_table(
        "finding_version",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fingerprint", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column(
            "severity",
            sa.Enum("violation", "should", "notice", name="severity", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("requirement", SafeText(), nullable=False),
        sa.Column(
            "revocation",
            sa.Enum("24h", "5d", "7d?", "none", name="revocation", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("message", SafeText(), nullable=False),
        sa.Column("deadline", UTCDateTime(), nullable=True),
        sa.Column("baseline", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["fingerprint"],
            ["finding.fingerprint"],
            name=op.f("fk_finding_version_fingerprint_finding"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_finding_version")),
    )
    with op.batch_alter_table("finding_version", schema=None) as batch_op:
        batch_op.create_index(
            "ix_finding_version_fingerprint_at", ["fingerprint", "at"], unique=False
        )

    op.create_table(
        "log_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("source", SafeText(), nullable=False),
        sa.Column("version", SafeText(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=True),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("before", SafeText(), nullable=True),
        sa.Column("after", SafeText(), nullable=True),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("state_since", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["log_id"], ["log.log_id"], name=op.f("fk_log_event_log_id_log")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_event")),
    )
    with op.batch_alter_table("log_event", schema=None) as batch_op:
        batch_op.create_index("ix_log_event_log_id_source", ["log_id", "source"], unique=False)

    op.create_table(
        "log_evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("log_id", AutoString(), nullable=False),
        sa.Column("kind", AutoString(length=32), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("tree_size", sa.BigInteger(), nullable=True),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("other_head", sa.LargeBinary(), nullable=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.Column("computed_root", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("detail", SafeText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["log_id"], ["log.log_id"], name=op.f("fk_log_evidence_log_id_log")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_evidence")),
    )
    with op.batch_alter_table("log_evidence", schema=None) as batch_op:
        batch_op.create_index("ix_log_evidence_log_id_kind", ["log_id", "kind"], unique=False)

    op.create_table(
        "log_listing",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("source", SafeText(), nullable=False),
        sa.Column("description", SafeText(), nullable=False),
        sa.Column("operator", SafeText(), nullable=False),
        sa.Column("api", AutoString(length=16), nullable=False),
        sa.Column("submission_url", SafeText(), nullable=False),
        sa.Column("monitoring_url", SafeText(), nullable=False),
        sa.Column("mmd", sa.BigInteger(), nullable=False),
        sa.Column("state", AutoString(length=16), nullable=False),
        sa.Column("state_since", UTCDateTime(), nullable=True),
        sa.Column("interval_start", UTCDateTime(), nullable=True),
        sa.Column("interval_end", UTCDateTime(), nullable=True),
        sa.Column("final_size", sa.BigInteger(), nullable=True),
        sa.Column("final_root", sa.LargeBinary(), nullable=True),
        sa.Column("log_type", SafeText(), nullable=True),
        sa.Column("first_listed", UTCDateTime(), nullable=False),
        sa.Column("vanished_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["log_id"], ["log.log_id"], name=op.f("fk_log_listing_log_id_log")),
        sa.PrimaryKeyConstraint("log_id", "source", name=op.f("pk_log_listing")),
    )
    op.create_table(
        "log_window",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("log_id", AutoString(), nullable=False),
        sa.Column("kind", AutoString(length=16), nullable=False),
        sa.Column("watch_digest", AutoString(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("first_range", sa.LargeBinary(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("position_range", sa.LargeBinary(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=False),
        sa.Column("verified_range", sa.LargeBinary(), nullable=False),
        sa.Column("target_size", sa.BigInteger(), nullable=True),
        sa.Column("target_root", sa.LargeBinary(), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["log.log_id"], name=op.f("fk_log_window_log_id_log")),
        sa.ForeignKeyConstraint(
            ["watch_digest"],
            ["watch_set.digest"],
            name=op.f("fk_log_window_watch_digest_watch_set"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_window")),
    )
    with op.batch_alter_table("log_window", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_log_window_log_id"), ["log_id"], unique=False)

    op.create_table(
        "tree_head",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("log_id", AutoString(), nullable=False),
        sa.Column("tree_size", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("root_hash", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["log.log_id"], name=op.f("fk_tree_head_log_id_log")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tree_head")),
        sa.UniqueConstraint(
            "log_id",
            "tree_size",
            "timestamp_ms",
            "root_hash",
            name=op.f("uq_tree_head_log_id_tree_size_timestamp_ms_root_hash"),
        ),
    )
    with op.batch_alter_table("tree_head", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tree_head_log_id"), ["log_id"], unique=False)

    op.create_table(
        "watched_key",
        sa.Column("spki_sha256", AutoString(length=64), nullable=False),
        sa.Column("anchor", AutoString(), nullable=False),
        sa.Column(
            "provenance",
            sa.Enum(
                "configuration",
                "ccadb",
                "chain",
                name="keyprovenance",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("spki", sa.LargeBinary(), nullable=True),
        sa.Column("watched_since", UTCDateTime(), nullable=False),
        sa.Column("unwatched_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["anchor"], ["subordinate.anchor"], name=op.f("fk_watched_key_anchor_subordinate")
        ),
        sa.PrimaryKeyConstraint("spki_sha256", name=op.f("pk_watched_key")),
    )
    with op.batch_alter_table("watched_key", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_watched_key_anchor"), ["anchor"], unique=False)

    op.create_table(
        "operator_certificate",
        sa.Column("certificate_sha256", AutoString(length=64), nullable=False),
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("anchor", AutoString(), nullable=False),
        sa.Column("file", SafeText(), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["anchor"],
            ["subordinate.anchor"],
            name=op.f("fk_operator_certificate_anchor_subordinate"),
        ),
        sa.ForeignKeyConstraint(
            ["certificate_sha256"],
            ["certificate.sha256"],
            name=op.f("fk_operator_certificate_certificate_sha256_certificate"),
        ),
        sa.PrimaryKeyConstraint("certificate_sha256", name=op.f("pk_operator_certificate")),
    )
    with op.batch_alter_table("operator_certificate", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operator_certificate_anchor"), ["anchor"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_operator_certificate_unit_id"), ["unit_id"], unique=False
        )

    op.create_table(
        "pending_entry",
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("malformed", SafeText(), nullable=True),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["window_id"], ["log_window.id"], name=op.f("fk_pending_entry_window_id_log_window")
        ),
        sa.PrimaryKeyConstraint("window_id", "index", name=op.f("pk_pending_entry")),
    )
    op.create_table(
        "sighting",
        sa.Column("log_id", AutoString(length=64), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("certificate_sha256", AutoString(), nullable=False),
        sa.Column("unit_id", AutoString(length=64), nullable=False),
        sa.Column("added_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["certificate_sha256"],
            ["certificate.sha256"],
            name=op.f("fk_sighting_certificate_sha256_certificate"),
        ),
        sa.PrimaryKeyConstraint("log_id", "index", name=op.f("pk_sighting")),
    )
    with op.batch_alter_table("sighting", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sighting_certificate_sha256"), ["certificate_sha256"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sighting_unit_id"), ["unit_id"], unique=False)
