"""What the tests of models share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def wanted(request: pytest.FixtureRequest) -> set[str]:
    """The values of `name` in those tests of the file that are about to run: what takes long is made for them alone."""
    items = [item for item in request.session.items if item.path == request.path]
    return {item.callspec.params.get("name", "") for item in items if hasattr(item, "callspec")}
