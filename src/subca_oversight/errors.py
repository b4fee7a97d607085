"""The one exception tree, split by what the operator does next.

::

    OversightError
    ├── ConfigurationError      mend the configuration or the command line      exit code 2
    ├── SourceError             a source failed: wait, or mend the network      exit code 3
    │   ├── LogMisbehaved       a log broke a cryptographic promise: alert      exit code 3
    │   └── NotYetServed        a log lags behind its own head: ask again soon  exit code 3
    ├── StoreError              mend the disk, the database or its schema       exit code 4
    │   └── LeaseHeld           another process leads; use it or stop it        exit code 4
    ├── EvidenceError           evidence offered for checking does not hold     exit code 1
    │   └── VerificationError   a signature, proof or hash is wrong
    ├── CheckError              a check or linter of ours could not run         exit code 1
    └── DeliveryError           a notice was not taken by its channel           exit code 3

Malformed input from a CA is evidence and is returned as data; exceptions are for our own failures
and for answers that a source owed us in another form.
"""

from __future__ import annotations


class OversightError(Exception):
    """Base of every error this program raises on purpose; its text is one line for the operator."""

    exit_code = 1


class ConfigurationError(OversightError):
    """The configuration, or a value typed on the command line, cannot be used."""

    exit_code = 2


class SourceError(OversightError):
    """A log, list, export or page could not be fetched or read."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        retry: bool = True,
        url: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        """``retry`` tells whether the same request may succeed later without anyone's action.

        ``status`` is that of an HTTP answer, ``retry_after`` the seconds for which the server asked
        to be left alone; both None where there was none.
        """
        super().__init__(message)
        self.retry = retry
        self.url = url
        self.status = status
        self.retry_after = retry_after


class LogMisbehaved(SourceError):  # noqa: N818 - reads as the statement that it is
    """A log's answer contradicts what the log signed."""

    def __init__(self, message: str, *, url: str | None = None) -> None:
        super().__init__(message, retry=False, url=url)


class NotYetServed(SourceError):  # noqa: N818 - reads as the statement that it is
    """A log does not serve yet what its head promises: another of its replicas signed that head."""


class StoreError(OversightError):
    """The database cannot be reached, read, written or understood."""

    exit_code = 4


class LeaseHeld(StoreError):  # noqa: N818 - reads as the statement that it is
    """Another live process holds the lease."""


class EvidenceError(OversightError):
    """Evidence cannot be read, or does not show what it is said to show."""


class VerificationError(EvidenceError):
    """A signature, hash or Merkle proof does not verify."""


class CheckError(OversightError):
    """A check or linter could not run; its subject counts as not looked at, never as clean."""


class DeliveryError(OversightError):
    """A channel did not take a notice."""

    exit_code = 3

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        """``permanent`` means that sending the same notice again cannot help.

        ``retry_after`` is the seconds for which the receiver asked to be left alone.
        """
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
