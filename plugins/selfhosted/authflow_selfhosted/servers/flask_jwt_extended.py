"""Flask-JWT-Extended: the refresh token travels as the bearer and stays the same."""

from __future__ import annotations

from authflow_selfhosted.servers.product import PASSWORD, SITES, USERNAME, Place, Product


def _environ(place: Place) -> dict[str, str]:
    return {"PYTHONPATH": str(SITES), "LIFETIME": str(place.lifetime), "ACCOUNT": f"{USERNAME}:{PASSWORD}"}


FLASK_JWT_EXTENDED = Product(
    name="flask-jwt-extended",
    packages=("flask-jwt-extended==4.7.4", "waitress==3.0.2"),
    environ=_environ,
    command=lambda place: [
        place.script("waitress-serve"),
        f"--listen=127.0.0.1:{place.port}",
        "flask_site:app",
    ],
    inputs=lambda place: {"server": place.url, "username": USERNAME, "password": PASSWORD},
    ready="/me",
    data="/me",
    shows=USERNAME,
)
