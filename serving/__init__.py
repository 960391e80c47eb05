"""Floor 3, the service that decides: engine, ledger, HTTP application.

Every verb is one call: `serving.serve(ServeConfig(...))`. Its module is loaded when it is first used.
"""

from __future__ import annotations

from envs.lazy import lazy_verbs

VERBS = {
    "serve": "serving.run",
    "decide": "serving.ask",
    "export_tables": "serving.export",
    "ServeConfig": "serving.settings",
    "DecideConfig": "serving.settings",
}

__getattr__ = lazy_verbs(__name__, VERBS)
