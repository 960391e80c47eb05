"""Floor 3, the service that decides: engine, ledger, HTTP application."""
