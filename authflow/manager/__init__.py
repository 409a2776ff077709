"""The session manager: what a session holds, who renews it and who waits, and what a request carries. Bottom to top:

    workers            a few threads, for those who may not block and for what is renewed ahead
    single_flight      of many who want the same work done, one does it
    behind             what good answers bring anew, stored behind those who use it
    observers          who hears of renewals
    cache              the grants of a session: fresh, renewed ahead, waited for
    manager            what adapters ask: `authorize`, `on_response`                         ← a 401 is judged here

No lock is held while anybody waits for the network. Nothing here knows an HTTP library.
"""

from authflow.manager.manager import Authorization, SessionManager
from authflow.manager.single_flight import Flight, Flights

__all__ = [
    "Authorization",
    "Flight",
    "Flights",
    "SessionManager",
]
