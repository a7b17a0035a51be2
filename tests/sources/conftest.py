"""The databases of the store's tests, for imports."""

from store.conftest import quiet_store, store

__all__ = ["quiet_store", "store"]
