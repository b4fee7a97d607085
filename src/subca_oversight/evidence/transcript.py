"""The transcript of a draw: what both parties keep, and what either can recompute offline.

It holds the whole population, so that nothing but the file and the public value is needed to show
that the sample was drawn fairly (DESIGN section 7). The first thing that does not follow is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from subca_oversight.errors import VerificationError
from subca_oversight.evidence.sampling import (
    EV_PERCENT,
    EV_PERCENT_BY_RA,
    Draw,
    DrawnUnit,
    PopulationUnit,
    StratumSize,
    draw,
)

BR_DUTY = "br-8.7"
PRODUCT_DEFAULT = "product-default"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class AuthorityCertificate:
    """A CA certificate of the subordinate, and whether BR 8.7 makes its signer draw samples."""

    sha256: str
    br_constrained: bool | None
    """In the BR's sense (7.1.2.3, 7.1.2.5); None where it cannot be read."""


@dataclass(frozen=True, slots=True)
class SampleTranscript:
    """One draw, in full."""

    anchor: str
    subordinate: str
    """Its name on the day of the draw."""
    authorities: tuple[AuthorityCertificate, ...]
    previous_end: datetime | None
    """End of the draw before; None at the first."""
    population_end: datetime
    """Whole seconds; units first logged before it, and in no earlier population, belong."""
    drawn_at: datetime
    ev_percent: int
    units: tuple[PopulationUnit, ...]
    """Ascending by unit id."""
    commitment: str
    public_value: str
    seed: str
    sizes: tuple[StratumSize, ...]
    sample: tuple[DrawnUnit, ...]

    @property
    def basis(self) -> str:
        """``br-8.7`` where BR 8.7 obliges the signing CA to draw, else ``product-default``."""
        return basis_of(self.authorities)


def basis_of(authorities: Iterable[AuthorityCertificate]) -> str:
    """Whose rule a sample follows: one constrained CA certificate makes its signer draw."""
    is_duty = any(one.br_constrained is True for one in authorities)
    return BR_DUTY if is_duty else PRODUCT_DEFAULT


def make_transcript(
    *,
    anchor: str,
    subordinate: str,
    authorities: Iterable[AuthorityCertificate],
    previous_end: datetime | None,
    population_end: datetime,
    drawn_at: datetime,
    population: Iterable[PopulationUnit],
    public_value: str,
    ev_percent: int = EV_PERCENT,
) -> SampleTranscript:
    """Draw from ``population``. Raises VerificationError where its transcript could not verify."""
    units = tuple(sorted(population, key=lambda unit: unit.unit_id))
    outcome = draw(units, public_value, ev_percent=ev_percent)
    transcript = SampleTranscript(
        anchor=anchor,
        subordinate=subordinate,
        authorities=tuple(sorted(authorities, key=lambda one: one.sha256)),
        previous_end=previous_end,
        population_end=population_end,
        drawn_at=drawn_at,
        ev_percent=ev_percent,
        units=units,
        commitment=outcome.commitment.hex(),
        public_value=public_value,
        seed=outcome.seed.hex(),
        sizes=outcome.sizes,
        sample=outcome.drawn,
    )
    _verify_premises(transcript)
    return transcript


def verify_transcript(transcript: SampleTranscript, *, public_value: str | None = None) -> None:
    """Recompute the draw. Raises VerificationError naming the first thing that does not follow.

    ``public_value`` is what the verifier learned elsewhere; where None, the transcript's own is
    taken, which shows that the draw follows from it but not that the value was the agreed one.
    """
    _verify_premises(transcript)
    if public_value is not None and public_value != transcript.public_value:
        raise VerificationError(
            f"public_value: the transcript was drawn with {transcript.public_value[:_SHOWN]!a},"
            f" not with {public_value[:_SHOWN]!a}"
        )
    outcome = draw(transcript.units, transcript.public_value, ev_percent=transcript.ev_percent)
    _verify_outcome(transcript, outcome)


def _verify_premises(transcript: SampleTranscript) -> None:
    """What must hold before anything is recomputed."""
    if transcript.ev_percent not in (EV_PERCENT, EV_PERCENT_BY_RA):
        raise VerificationError(f"ev_percent: {transcript.ev_percent} is in no rule")
    if transcript.population_end > transcript.drawn_at:
        raise VerificationError("population_end: after drawn_at")
    if transcript.previous_end is None:
        if any(unit.is_late for unit in transcript.units):
            raise VerificationError("units: a first draw has no late arrivals")
    elif transcript.previous_end >= transcript.population_end:
        raise VerificationError("previous_end: not before population_end")
    if len(transcript.public_value) == 0:
        raise VerificationError("public_value: empty")
    if not is_encodable(transcript.public_value):
        raise VerificationError("public_value: not Unicode text")
    previous = ""
    for number, unit in enumerate(transcript.units):
        if unit.unit_id <= previous:
            raise VerificationError(f"units[{number}]: not in strictly ascending order")
        previous = unit.unit_id


def _verify_outcome(transcript: SampleTranscript, outcome: Draw) -> None:
    for name, said, computed in (
        ("commitment", transcript.commitment, outcome.commitment.hex()),
        ("seed", transcript.seed, outcome.seed.hex()),
    ):
        if said != computed:
            raise VerificationError(f"{name}: says {said}, computes to {computed}")
    _verify_list("sizes", transcript.sizes, outcome.sizes)
    _verify_list("sample", transcript.sample, outcome.drawn)


def _verify_list(
    name: str,
    said: Sequence[StratumSize] | Sequence[DrawnUnit],
    computed: Sequence[StratumSize] | Sequence[DrawnUnit],
) -> None:
    for number in range(min(len(said), len(computed))):
        for field in dataclasses.fields(computed[number]):
            claim = getattr(said[number], field.name)
            value = getattr(computed[number], field.name)
            if claim != value:
                raise VerificationError(
                    f"{name}[{number}].{field.name}: says {str(claim)[:_SHOWN]!a},"
                    f" computes to {str(value)!a}"
                )
    if len(said) != len(computed):
        raise VerificationError(f"{name}: has {len(said)} entries, computes to {len(computed)}")


def is_encodable(text: str) -> bool:
    """Whether ``text`` has a UTF-8 form, which one with lone surrogates has not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
