"""The real servers, each in an environment of its own, on a free loopback port, with tokens that live for seconds.

    oidc_provider   an OpenID Provider, for logins that no product has: by a browser, by a device, with DPoP
    docker_registry   with a token server of ours, for tokens that are for one scope each
    etcd, transmission   each with tests of its own: they are called by POST alone
    product         what to install, how to prepare, start and fill it           one module each, and PRODUCTS
    environment     where installs are kept: a cache outside of any repository
    process         one server process: started, awaited, ended with all that it started

`python -m authflow_selfhosted.servers NAME` runs one of them until its standard input ends.
"""

from __future__ import annotations

from authflow_selfhosted.servers.flask_jwt_extended import FLASK_JWT_EXTENDED
from authflow_selfhosted.servers.glewlwyd import GLEWLWYD
from authflow_selfhosted.servers.keystone import KEYSTONE
from authflow_selfhosted.servers.node_red import NODE_RED
from authflow_selfhosted.servers.product import Product, Running, Unavailable, running
from authflow_selfhosted.servers.simplejwt import SIMPLEJWT
from authflow_selfhosted.servers.synapse import SYNAPSE

__all__ = ["PRODUCTS", "Product", "Running", "Unavailable", "running"]

PRODUCTS = {product.name: product for product in (SIMPLEJWT, KEYSTONE, SYNAPSE, FLASK_JWT_EXTENDED, GLEWLWYD, NODE_RED)}
