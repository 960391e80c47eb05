"""Importers: one file per foreign log; each turns its rows into a canonical `Imported`, none into thin air."""
