"""What a session does, written down while it does it, as one page to look at.

    events      what happened, as plain values
    recording   listens to a session manager, and keeps what happened, masked
    har         exchanges as a capture, for `authflow-learn`
    masks       what may be shown of a request and an answer
    diagram     the flow as boxes and arrows
    page        all of it as HTML that needs nothing else (`page.html` is its frame)

Changes nothing of what it listens to, and keeps no secret.
"""

from authflow.recording.diagram import picture
from authflow.recording.page import html_page
from authflow.recording.recording import Recording

__all__ = ["Recording", "html_page", "picture"]
