"""The detached signature of a log list, and the key of Google's.

A list names the keys that every later verification trusts, so it is verified before it is read.
RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2), as log list v3 publishes it.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from subca_oversight.errors import ConfigurationError, VerificationError

# https://www.gstatic.com/ct/log_list/v3/log_list_pubkey.pem, RSA-4096
GOOGLE_LOG_LIST_KEY = b"""\
-----BEGIN PUBLIC KEY-----
MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAsu0BHGnQ++W2CTdyZyxv
HHRALOZPlnu/VMVgo2m+JZ8MNbAOH2cgXb8mvOj8flsX/qPMuKIaauO+PwROMjiq
fUpcFm80Kl7i97ZQyBDYKm3MkEYYpGN+skAR2OebX9G2DfDqFY8+jUpOOWtBNr3L
rmVcwx+FcFdMjGDlrZ5JRmoJ/SeGKiORkbbu9eY1Wd0uVhz/xI5bQb0OgII7hEj+
i/IPbJqOHgB8xQ5zWAJJ0DmG+FM6o7gk403v6W3S8qRYiR84c50KppGwe4YqSMkF
bLDleGQWLoaDSpEWtESisb4JiLaY4H+Kk0EyAhPSb+49JfUozYl+lf7iFN3qRq/S
IXXTh6z0S7Qa8EYDhKGCrpI03/+qprwy+my6fpWHi6aUIk4holUCmWvFxZDfixox
K0RlqbFDl2JXMBquwlQpm8u5wrsic1ksIv9z8x9zh4PJqNpCah0ciemI3YGRQqSe
/mRRXBiSn9YQBUPcaeqCYan+snGADFwHuXCd9xIAdFBolw9R9HTedHGUfVXPJDiF
4VusfX6BRR/qaadB+bqEArF/TzuDUr6FvOR4o8lUUxgLuZ/7HO+bHnaPFKYHHSm+
+z1lVDhhYuSZ8ax3T0C3FZpb7HMjZtpEorSV5ElKJEJwrhrBCMOD8L01EoSPrGlS
1w22i9uGHMn/uGQKo28u7AsCAwEAAQ==
-----END PUBLIC KEY-----
"""


def verify_log_list(list_bytes: bytes, sig_bytes: bytes, key_pem: bytes) -> None:
    """Raise VerificationError unless ``sig_bytes`` is the signature of exactly these list bytes.

    Raises ConfigurationError when ``key_pem`` is not an RSA public key in PEM.
    """
    try:
        key = load_pem_public_key(key_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"the log list's public key cannot be read: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigurationError("the log list's public key is not an RSA key")
    try:
        key.verify(sig_bytes, list_bytes, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        raise VerificationError("the log list's signature does not verify") from None
