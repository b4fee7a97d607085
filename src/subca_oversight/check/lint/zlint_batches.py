"""zlint over batches of certificates, going on behind each one that ends it.

zlint takes file names and prints one line for each, in order and without the name, and ends at the
first file that it cannot parse. So the number of lines read tells the file it was at, and the run
is taken up behind it. A certificate that kills the program or makes it babble is tried once more by
itself; if it does so again, and the program still lints a certificate of ours, it is to blame.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from subca_oversight.check.lint.external_run import Ending, ExternalRun, RunLimits
from subca_oversight.check.lint.private_folder import private_folder
from subca_oversight.check.lint.zlint_program import (
    ENVIRONMENT,
    MAX_LINE,
    MEMORY_BYTES,
    Statement,
    ZlintProgram,
    identify,
    read_line,
)
from subca_oversight.errors import CheckError

MAX_FILES = 500
"""Certificates of one run."""
BATCH_SECONDS = 300.0
"""Of one run, or ten times the limit of one certificate; what is left is run again."""

CROSS_CONFIGURATION = """\
[CABFBaselineRequirementsConfig]
CrossSignedCa = true

[e_ca_multiple_reserved_policy_oids]
CrossCert = true

[e_subj_orgunit_in_ca_cert]
CrossCert = true
"""
"""For cross-certificates, whose subject and policies follow BR 7.1.2.2, not 7.1.2.6."""

# Self-signed, made for this: what the program says of it does not matter, that it says it does.
_CANARY = base64.b64decode(
    "MIIBJDCBy6ADAgECAgUFyhGrHjAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9zdWJjYS1vdmVyc2lnaHQwHhcNMjYw"
    "MTAxMDAwMDAwWhcNMjYwMjAxMDAwMDAwWjAaMRgwFgYDVQQDDA9zdWJjYS1vdmVyc2lnaHQwWTATBgcqhkjOPQIB"
    "BggqhkjOPQMBBwNCAATwyo2tVFP4O+Sz9WNJe5TmvYgtVY8gAyUxV1P0MEc1VFrBB1qspEp0QOkle2m7PWdEWT8+"
    "cUEtY0fZMIIRUrseMAoGCCqGSM49BAMCA0gAMEUCIA+eaGuy81xW6V8Qr1OcjM65GzvhcsRskMCu63P0N9bhAiEA"
    "kahQluY6/Olt9P84O4c/ooQZYhv4Kv6LrTbqmoQwN9U="
)
_FOLDER_PREFIX = "subca-oversight-zlint-"
_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
# What it cannot parse as a certificate it tries as a CRL and as an OCSP response, and prints a line
# that looks no different: no lint of certificates has looked at that file.
_OTHER_KIND = "parse error: it is not taken for a certificate, but for a CRL or an OCSP response"
_MAX_REASON = 400


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the program said nothing of a certificate."""

    reason: str


Answer = tuple[Statement, ...] | Refusal


class _Stop(Enum):
    """How a run ended short of its last file."""

    NOT_PARSED = auto()
    """It said that it cannot read the file."""
    OVERDUE = auto()
    """It took too long over the file."""
    BROKEN = auto()
    """It died, or printed what is no result."""
    UNTRUSTED = auto()
    """It printed more lines than there were files: none of them can be told apart."""
    UNFINISHED = auto()
    """The whole run took too long, through no fault of any file."""


@dataclass(slots=True)
class _Run:
    """What one run said: the lines of the first files, and why there are no more."""

    answers: list[Answer] = field(default_factory=list)
    stop: _Stop | None = None
    reason: str = ""


class ZlintBatches:
    """An identified program with a folder of its own; made by :func:`open_batches`."""

    def __init__(self, program: ZlintProgram, folder: Path, seconds_per_certificate: float) -> None:
        self.program = program
        self._folder = folder
        self._limits = RunLimits(
            seconds_per_line=seconds_per_certificate,
            seconds=max(BATCH_SECONDS, 10 * seconds_per_certificate),
            memory_bytes=MEMORY_BYTES,
            line_bytes=MAX_LINE,
        )
        self._cross = folder / "cross.toml"
        self._cross.write_text(CROSS_CONFIGURATION, encoding="utf-8")
        self._names: frozenset[str] | None = None
        self._names = self._confirm()

    def lint(self, certificates: Sequence[bytes], *, cross: bool = False) -> list[Answer]:
        """Lint at most ``MAX_FILES`` certificates, in order; ``cross`` configures for cross ones.

        Raises CheckError when the program fails over a certificate that it is known to lint.
        """
        files = [self._folder / f"{number:04}.der" for number in range(len(certificates))]
        try:
            for file, certificate in zip(files, certificates, strict=True):
                file.write_bytes(certificate)
            return self._lint_files(files, cross=cross)
        finally:
            for file in files:
                file.unlink(missing_ok=True)

    def _lint_files(self, files: Sequence[Path], *, cross: bool) -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < len(files):
            rest = files[len(answers) :]
            run = self._run(rest, cross=cross)
            if run.stop is _Stop.UNTRUSTED and len(rest) > 1:
                for file in rest:
                    answers += self._lint_files([file], cross=cross)
                continue
            answers += run.answers
            if run.stop is None or run.stop is _Stop.UNFINISHED:
                continue
            if run.stop is not _Stop.NOT_PARSED:
                self._confirm()
            if run.stop is _Stop.BROKEN and len(rest) > 1:
                # The cause may lie outside: the kernel's memory killer, or an operator.
                answers += self._lint_files([files[len(answers)]], cross=cross)
            else:
                answers.append(Refusal(run.reason))
        return answers

    def _confirm(self) -> frozenset[str]:
        """Have the program lint our own certificate, and give the lints that it names."""
        file = self._folder / "canary.der"
        file.write_bytes(_CANARY)
        lines: list[bytes] = []
        with self._start([file], cross=False) as running:
            for line in running.lines():
                lines.append(line)
                if len(lines) > 1:
                    break
        failure = f"{self.program.path}: does not lint a certificate known to be sound"
        if len(lines) != 1:
            raise CheckError(f"{failure}: {_last_words(running)}")
        try:
            names, _ = read_line(lines[0])
        except ValueError as error:
            raise CheckError(f"{failure}: {error}") from error
        if self._names is not None and names != self._names:
            raise CheckError(f"{self.program.path}: was replaced by another build while in use")
        return names

    def _run(self, files: Sequence[Path], *, cross: bool) -> _Run:
        run = _Run()
        with self._start(files, cross=cross) as running:
            for line in running.lines():
                if len(run.answers) == len(files):
                    return _Run([], _Stop.UNTRUSTED, "it printed more than one line")
                try:
                    run.answers.append(self._read(line))
                except ValueError as error:
                    run.stop, run.reason = _Stop.BROKEN, f"its output is not a result: {error}"
                    break
        if run.stop is None and len(run.answers) < len(files):
            run.stop, run.reason = self._explain(running)
        run.reason = run.reason[:_MAX_REASON]
        return run

    def _read(self, line: bytes) -> Answer:
        names, statements = read_line(line)
        if names == self._names:
            return statements
        if names <= self.program.lints.keys():
            return Refusal(_OTHER_KIND)
        raise ValueError("lints that it does not have")

    def _explain(self, running: ExternalRun) -> tuple[_Stop, str]:
        if running.ending is Ending.OVERDUE:
            return _Stop.OVERDUE, f"time limit of {self._limits.seconds_per_line:g} s exceeded"
        if running.ending is Ending.OUT_OF_TIME:
            return _Stop.UNFINISHED, ""
        if running.ending is Ending.TOO_LONG:
            return _Stop.BROKEN, f"its output exceeds {self._limits.line_bytes} bytes"
        words = _last_words(running)
        if running.exit_code == 1 and words.startswith("unable to parse"):
            return _Stop.NOT_PARSED, f"parse error: {words}"
        return _Stop.BROKEN, words

    def _start(self, files: Sequence[Path], *, cross: bool) -> ExternalRun:
        configuration = ["-config", self._cross.name] if cross else []
        names = [file.name for file in files]
        return ExternalRun(
            [str(self.program.path), "-format", "der", *configuration, *names],
            self._limits,
            folder=self._folder,
            environment=ENVIRONMENT,
        )


@contextmanager
def open_batches(path: Path, seconds_per_certificate: float) -> Iterator[ZlintBatches]:
    """Identify the program at ``path`` and make it ready. Raises CheckError if it is not zlint."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(private_folder(_FOLDER_PREFIX))
            batches = ZlintBatches(identify(path, folder), folder, seconds_per_certificate)
        except OSError as error:
            raise CheckError(f"{path}: has no room to work in: {error.strerror}") from error
        yield batches


def _last_words(running: ExternalRun) -> str:
    """What it wrote before it ended, on one line, and how it ended."""
    text = running.stderr.decode("utf-8", "replace")
    fatal = _FATAL.search(text)
    if fatal is not None:
        return fatal.group(1).replace('\\"', '"')
    code = running.exit_code
    ended = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    first = text.strip().partition("\n")[0]
    return f"{ended}: {first}" if len(first) > 0 else ended
