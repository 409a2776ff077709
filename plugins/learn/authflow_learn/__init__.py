"""From a capture of a login to a vendor file.

    messages    one request and its answer
    transcripts what curl says: `-v`, `--trace-ascii`, `-i`
    commands    curl's command line, which says what -v does not
    captures    HAR files, and transcripts, as exchanges
    leaves      what a message holds, place by place: JSON, forms, XML, headers, cookies, queries, Basic, base64
    names       what the names of fields say, and the looks of values
    derived     which values are made of others: digests, codes, base64
    tracing     where each value came from, and what is learnt of it
    inference   which exchange is the login, which the refresh, what data requests carry
    standards   logins that a standard describes, and a preset runs
    users       which values a person knows, what they are called, what is made of them
    meanings    what answers mean: how long a token is good, what a refusal looks like
    direct      where there is nothing to log in to
    signing     signatures, tried out with a secret that you name
    notation    how the notation and TOML write a value
    exchanges   an exchange as the file says it
    writing     the vendor file, as if written by hand
    checking    what `authflow check --against` is to fetch: what to type next
    asking      at a terminal, the questions that nothing in the capture answers
    command     `authflow-learn`

Nothing of a capture's secrets is in what comes out: a value is a placeholder, or it is not written. What thinks is
pure, but for `command` and `asking`.
"""

from authflow_learn.captures import read_capture
from authflow_learn.inference import learn
from authflow_learn.messages import Capture, CaptureError
from authflow_learn.tracing import Learnt
from authflow_learn.writing import vendor_file

__all__ = ["Capture", "CaptureError", "Learnt", "learn", "read_capture", "vendor_file"]
