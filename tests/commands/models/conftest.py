"""Small published files, and the model folder that they make."""

from tests.models.conftest import converted, published

__all__ = ["converted", "published"]
