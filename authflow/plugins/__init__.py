"""Plugins: the hooks that they may implement, how they are found, and the door for their authors.

    hooks        what a plugin may implement (pluggy; project name and entry-point group `authflow`)
    discovery    how installed plugins, and the vendors that they bring, are found

Authors import from here: `hookimpl`, `Converter`, `Function`, `Signer`, `Store`, `Presentation`, and the rest of
`__all__`.
"""

from authflow.errors import ConfigurationError, StoreError
from authflow.http import Answer, Presentation, Request
from authflow.plugins.discovery import (
    Hooks,
    broken_plugins,
    converters,
    find_vendor,
    functions,
    implemented,
    manager,
    plugin_of,
    register_file,
    signers,
    stores,
    vendors,
)
from authflow.plugins.hooks import hookimpl
from authflow.stores import Conflict, LockTimeout, Store, Stored
from authflow.templates import Converter
from authflow.vendors import Function, Signer, Signing, Vendor

__all__ = [
    "Answer",
    "ConfigurationError",
    "Conflict",
    "Converter",
    "Function",
    "Hooks",
    "LockTimeout",
    "Presentation",
    "Request",
    "Signer",
    "Signing",
    "Store",
    "StoreError",
    "Stored",
    "Vendor",
    "broken_plugins",
    "converters",
    "find_vendor",
    "functions",
    "hookimpl",
    "implemented",
    "manager",
    "plugin_of",
    "register_file",
    "signers",
    "stores",
    "vendors",
]
