"""Pseudonyms: what stands in the database instead of a patient's identifiers.

A pseudonym is HMAC-SHA256 (RFC 2104) over ``patient|issuer|id``, ``study|uid``, ``accession|issuer|number`` or
``sop|uid``. The first word separates the domains: an accession number never equals a patient with the same digits.
The key lies outside the database: a thief needs both to link a pseudonym to a patient.
"""

import hashlib
import hmac

from xraygpt_core.errors import ConfigurationError
from xraygpt_core.key_files import KeyWords, read_key
from xraygpt_core.settings import Settings

_WORDS = KeyWords("pseudonymisation key", "under a new key the studies of the old one cannot be found")


class Pseudonymiser:
    """Turns identifiers into pseudonyms: 64 hex digits, or None where the identifier is absent or blank.

    Args:
        former: that of the former key, while rows still have its pseudonyms (``ledger/studies/rotate_pseudonyms.py``).
    """

    def __init__(self, key: bytes, former: "Pseudonymiser | None" = None) -> None:
        self._key = key
        self.former = former

    def __repr__(self) -> str:
        return f"Pseudonymiser(fingerprint={self.fingerprint!r})"

    def patient(self, patient_id: str | None, issuer: str | None = None) -> str | None:
        """The pseudonym of PatientID (0010,0020) under IssuerOfPatientID (0010,0021)."""
        return self._pseudonym("patient", patient_id, issuer=issuer or "")

    def patient_id(self, patient_id: str | None, issuer: str | None = None) -> str | None:
        """PatientID alone, where an issuer is named: it separates an absent issuer from a contradicting one.

        None where none is named, for then :meth:`patient` is just that.
        """
        return self.patient(patient_id) if _significant(issuer or "") else None

    def study(self, study_instance_uid: str | None) -> str | None:
        """The pseudonym of StudyInstanceUID (0020,000D)."""
        return self._pseudonym("study", study_instance_uid)

    def accession(self, number: str | None, issuer: str | None = None) -> str | None:
        """The pseudonym of AccessionNumber (0008,0050) under its issuer (0008,0051)."""
        return self._pseudonym("accession", number, issuer=issuer or "")

    def sop(self, sop_instance_uid: str | None) -> str | None:
        """The pseudonym of SOPInstanceUID (0008,0018)."""
        return self._pseudonym("sop", sop_instance_uid)

    @property
    def all(self) -> "tuple[Pseudonymiser, ...]":
        """This one, and the former one if there is one: a row may have either's pseudonyms."""
        return (self,) if self.former is None else (self, self.former)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that distinguish two keys and reveal neither."""
        return self._digest("fingerprint")[:16]

    def _pseudonym(self, domain: str, value: str | None, *, issuer: str | None = None) -> str | None:
        value = _significant(value or "")
        if not value:
            return None
        parts = [value] if issuer is None else [_significant(issuer), value]
        return self._digest("|".join([domain, *map(_escaped, parts)]))

    def _digest(self, message: str) -> str:
        return hmac.new(self._key, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _significant(value: str) -> str:
    """Without padding: spaces around LO and SH values and the NUL behind a UI mean nothing (DICOM PS3.5, 6.2)."""
    return value.strip(" \t\r\n\0")


def _escaped(part: str) -> str:
    """Keeps the separator unambiguous, so that issuer ``a|b`` with id ``c`` is not issuer ``a`` with id ``b|c``."""
    return part.replace("\\", "\\\\").replace("|", "\\|")


def load_pseudonymiser(settings: Settings) -> Pseudonymiser:
    """The pseudonymiser of this installation, with that of the former key if that is given.

    Raises:
        ConfigurationError: the key is missing, readable by others, not 64 hex digits, or no secret at all.
    """
    key = read_key(settings.hmac_key, settings.hmac_key_file, "XRAYGPT_HMAC_KEY", _WORDS)
    former = read_key(settings.hmac_old_key, settings.hmac_old_key_file, "XRAYGPT_HMAC_OLD_KEY", _WORDS)
    if key is None:
        raise ConfigurationError("settings: XRAYGPT_HMAC_KEY_FILE (or XRAYGPT_HMAC_KEY) is missing")
    return Pseudonymiser(key, None if former in (None, key) else Pseudonymiser(former))
