"""Keystone under waitress. Its WSGI module reads the command line, so that no option of ours may stand there."""

import os
import sys

sys.argv = ["keystone"]

from keystone.wsgi.api import application  # noqa: E402
from waitress import serve  # noqa: E402

serve(application, host="127.0.0.1", port=int(os.environ["PORT"]))
