"""Matrix Synapse: opaque tokens, expiry in milliseconds, a refresh that rotates."""

from __future__ import annotations

import json

from authflow_selfhosted.servers.product import PASSWORD, USERNAME, Place, Product


def _configuration(place: Place) -> dict[str, object]:
    folder = place.folder
    unlimited = {"per_second": 1000, "burst_count": 1000}
    return {
        "server_name": "selfhosted.test",
        "public_baseurl": f"{place.url}/",
        "listeners": [
            {
                "type": "http",
                "port": place.port,
                "bind_addresses": ["127.0.0.1"],
                "tls": False,
                "resources": [{"names": ["client"]}],
            }
        ],
        "database": {"name": "sqlite3", "args": {"database": f"{folder}/homeserver.db"}},
        "pid_file": f"{folder}/homeserver.pid",
        "media_store_path": f"{folder}/media",
        "signing_key_path": f"{folder}/signing.key",
        "log_config": f"{folder}/log.json",
        "report_stats": False,
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "macaroon_secret_key": "a key for this one run",
        "form_secret": "another key for this one run",
        "registration_shared_secret": "a third key for this one run",
        "refreshable_access_token_lifetime": f"{place.lifetime}s",
        "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), unlimited),
    }


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stream": {"class": "logging.StreamHandler"}},
    "root": {"level": "WARNING", "handlers": ["stream"]},
}


def _prepare(place: Place) -> None:
    for name, content in (("homeserver.json", _configuration(place)), ("log.json", LOGGING)):
        (place.folder / name).write_text(json.dumps(content), "utf-8")  # JSON is YAML too
    place.run(*_homeserver(place), "--generate-keys")


def _homeserver(place: Place) -> list[str]:
    return [str(place.python), "-m", "synapse.app.homeserver", "-c", "homeserver.json"]


def _populate(place: Place) -> None:
    account = ("-u", USERNAME, "-p", PASSWORD, "--no-admin")
    place.run(place.script("register_new_matrix_user"), "-c", "homeserver.json", *account, place.url)


SYNAPSE = Product(
    name="synapse",
    packages=("matrix-synapse==1.163.2",),
    prepare=_prepare,
    populate=_populate,
    command=_homeserver,
    inputs=lambda place: {"server": place.url, "username": USERNAME, "password": PASSWORD},
    ready="/_matrix/client/versions",
    data="/_matrix/client/v3/account/whoami",
    shows=USERNAME,
)
