"""The data behind the login: a delivery for every id, always the same one."""

from __future__ import annotations

import datetime
import hashlib

STATUSES = ("announced", "in transit", "out for delivery", "delivered", "held at customs", "delayed")
CARRIERS = ("Northwind Freight", "Blue Heron Parcel", "Albatross Air", "Canal & Rail")
PLACES = ("Rotterdam", "Gdansk", "Lyon", "Porto", "Graz", "Malmo", "Antwerp")
FIRST_DAY = datetime.date(2026, 1, 5)


def delivery(id: str) -> dict[str, object]:
    dice = hashlib.sha256(id.encode("utf-8", "replace")).digest()
    return {
        "id": id,
        "status": STATUSES[dice[0] % len(STATUSES)],
        "carrier": CARRIERS[dice[1] % len(CARRIERS)],
        "last_seen": PLACES[dice[2] % len(PLACES)],
        "eta": (FIRST_DAY + datetime.timedelta(days=dice[3] % 28)).isoformat(),
        "pieces": 1 + dice[4] % 5,
    }
