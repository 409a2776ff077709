"""OpenStack Keystone: the token in an answer's header, no refresh, expiry in ISO 8601."""

from __future__ import annotations

import getpass

from authflow_selfhosted.servers.product import PASSWORD, SITES, Place, Product

PROJECT = "admin"
ADMIN = "admin"


def _configuration(place: Place) -> str:
    folder = place.folder
    return f"""\
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
expiration = {place.lifetime}
allow_expired_window = 0
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = false
"""


def _environ(place: Place) -> dict[str, str]:
    return {
        "OS_KEYSTONE_CONFIG_DIR": str(place.folder),
        "OS_KEYSTONE_CONFIG_FILES": str(place.folder / "keystone.conf"),
        "PORT": str(place.port),
    }


def _prepare(place: Place) -> None:
    (place.folder / "keystone.conf").write_text(_configuration(place), "utf-8")
    for name in ("fernet", "credential"):
        (place.folder / name).mkdir(mode=0o700)
    user = getpass.getuser()
    manage = (place.script("keystone-manage"), "--config-file", str(place.folder / "keystone.conf"))
    owner = ("--keystone-user", user, "--keystone-group", user)
    place.run(*manage, "db_sync")
    place.run(*manage, "fernet_setup", *owner)
    place.run(*manage, "credential_setup", *owner)
    account = ("--bootstrap-username", ADMIN, "--bootstrap-password", PASSWORD, "--bootstrap-project-name", PROJECT)
    place.run(*manage, "bootstrap", *account, "--bootstrap-public-url", f"{place.url}/v3")


KEYSTONE = Product(
    name="keystone",
    packages=("keystone==30.0.0", "waitress==3.0.2"),
    environ=_environ,
    prepare=_prepare,
    command=lambda place: [str(place.python), str(SITES / "keystone_site.py")],
    inputs=lambda place: {"server": place.url, "project": PROJECT, "username": ADMIN, "password": PASSWORD},
    ready="/v3",
    data="/v3/auth/projects",
    shows=PROJECT,
    refreshes=False,
)
