"""From a capture of a login to a vendor file.

    captures    HAR files and transcripts of `curl -v`, as exchanges
    leaves      what a message holds, place by place: JSON, forms, headers, cookies, queries, Basic
    inference   which exchange is the login, which the refresh, what data requests carry; pure
    writing     the vendor file, as if written by hand
    command     `authflow-learn`

Nothing of a capture's secrets is in what comes out: a value is a placeholder, or it is not written.
"""

from authflow_learn.captures import Capture, CaptureError, read_capture
from authflow_learn.inference import Learnt, learn
from authflow_learn.writing import vendor_file

__all__ = ["Capture", "CaptureError", "Learnt", "learn", "read_capture", "vendor_file"]
