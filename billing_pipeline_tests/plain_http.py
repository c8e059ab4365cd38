"""Requests to servers on this machine."""

import ssl

WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify`: without it httpx reads all authorities' certificates for each client, which takes longer than an answer."""
