"""The pseudonymisation key of the tests: as good as any, and the same every time."""

from hashlib import sha256

HMAC_KEY = sha256(b"the tests of XrayGPT").hexdigest()
