"""Whether two spellings of an owner mean one organization, and so whether a CA is external.

CCADB's owner cells are typed by hand: "Microsec Ltd." owns what "Microsec" operates. Legal forms,
punctuation and letter case are no difference; everything else is (DESIGN section 7).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from subca_oversight.model.audit import CertificateRecord

_SILENT = re.compile(r"[.'’`´]")  # noqa: RUF001 - apostrophes as they are typed
_WORD = re.compile(r"\w+")
_LEGAL_FORMS = frozenset(
    {
        "ab", "ag", "aps", "as", "asa", "bhd", "bv", "bvba", "cjsc", "co", "company",
        "corp", "corporation", "dd", "doo", "ead", "eood", "gesmbh", "gmbh", "inc",
        "incorporated", "jsc", "kft", "kg", "kgaa", "kk", "limited", "llc", "llp", "lp",
        "ltd", "ltda", "mbh", "nv", "nyrt", "ojsc", "ood", "oy", "oyj", "oü", "plc",
        "private", "pte", "pty", "pvt", "sa", "sarl", "sas", "sasu", "sdn", "se", "sl",
        "slu", "spa", "srl", "sro", "uab", "ug", "zrt"
    }
)  # fmt: skip
_SPACED_FORMS = (("a", "s"), ("d", "o", "o"), ("s", "r", "o"), ("sp", "z", "oo"), ("sp", "zoo"))


@lru_cache(maxsize=16_384)
def normalize_owner(name: str) -> str:
    """Return the owner without legal form, punctuation and letter case; never empty for a name."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    words = _WORD.findall(_SILENT.sub("", folded))
    if len(words) == 0:
        return " ".join(folded.split())
    while (length := _legal_form_length(words)) > 0:
        del words[-length:]
    return " ".join(words)


def is_same_owner(one: str, other: str) -> bool:
    """Whether two owner cells mean one organization."""
    return normalize_owner(one) == normalize_owner(other)


def is_external(record: CertificateRecord) -> bool:
    """Whether the export says that another organization operates this CA.

    The export only proposes: where the configuration knows better, the caller says so.
    """
    return len(record.subordinate_ca_owner) > 0 and not is_same_owner(
        record.subordinate_ca_owner, record.ca_owner
    )


def _legal_form_length(words: list[str]) -> int:
    """Return how many words at the end are a legal form; a name is never all form."""
    if len(words) > 1 and words[-1] in _LEGAL_FORMS:
        return 1
    for form in _SPACED_FORMS:
        if len(words) > len(form) and tuple(words[-len(form) :]) == form:
            return len(form)
    return 0
