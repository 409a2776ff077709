"""Signers for `sign.NAME` of a vendor file.

aws-sigv4   sigv4     AWS Signature Version 4              oauth1   oauth1   OAuth 1.0a (RFC 5849)
dpop        dpop      proof of possession (RFC 9449)       digest   digest   HTTP Digest (RFC 7616)

clocks      how far servers' clocks are off, which three of them must know
"""

from collections.abc import Mapping

from authflow.plugins import Signer, hookimpl
from authflow_signers.digest import Digest
from authflow_signers.dpop import Dpop
from authflow_signers.oauth1 import OAuth1
from authflow_signers.sigv4 import SigV4


@hookimpl
def authflow_signers() -> Mapping[str, type[Signer]]:
    return {"aws-sigv4": SigV4, "oauth1": OAuth1, "dpop": Dpop, "digest": Digest}
