"""djangorestframework-simplejwt: two JWTs; the refresh token rotates, and the old one is blacklisted."""

from __future__ import annotations

from authflow_selfhosted.servers.product import PASSWORD, SITES, USERNAME, Place, Product


def _environ(place: Place) -> dict[str, str]:
    return {
        "PYTHONPATH": str(SITES),
        "DATABASE": str(place.folder / "db.sqlite3"),
        "LIFETIME": str(place.lifetime),
        "ACCOUNT": f"{USERNAME}:{PASSWORD}",
    }


SIMPLEJWT = Product(
    name="simplejwt",
    packages=(
        "django~=5.2.0",
        "djangorestframework==3.18.3",
        "djangorestframework-simplejwt==5.5.1",
        "waitress==3.0.2",
    ),
    environ=_environ,
    prepare=lambda place: place.run(str(place.python), str(SITES / "simplejwt_site.py"), environ=_environ(place)),
    command=lambda place: [
        place.script("waitress-serve"),
        f"--listen=127.0.0.1:{place.port}",
        "simplejwt_site:application",
    ],
    inputs=lambda place: {"server": place.url, "scheme": "JWT", "username": USERNAME, "password": PASSWORD},
    ready="/api/me/",
    data="/api/me/",
    shows=USERNAME,
    ends="refresh",
)
