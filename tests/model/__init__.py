"""Both sides of every comparison are shown where it fails, as in the tests themselves."""

import pytest

pytest.register_assert_rewrite("model.both", "model.two_sides")
