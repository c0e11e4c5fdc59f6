"""What every engine must do: one suite of tests for logs, one for ledgers, one for states.

A class of tests subclasses a suite and says how its engine is made; pytest runs the rest. Let
pytest explain what fails in here: `pytest.register_assert_rewrite("comporta.testing.conformance")`.
What an engine cannot do is overridden as a strict xfail with its reason.
"""
