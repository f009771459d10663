"""Where a number was made."""

from importlib.metadata import version

from msda_analysis import environment


def test_current_commit_is_a_commit_or_nothing():
    commit = environment.current_commit()
    assert commit == "" or (len(commit.removesuffix("+changes")) >= 12 and int(commit.removesuffix("+changes"), 16))


def test_no_commit_outside_a_checkout(monkeypatch):
    def fail(*_):
        raise FileNotFoundError("git")

    monkeypatch.setattr(environment, "_git", fail)
    assert environment.current_commit.__wrapped__() == ""


def test_versions_of_what_is_installed_and_of_nothing_else():
    found = environment.describe_environment("cpu", ("torch", "scikit-learn", "no_such_package"))
    assert found["torch"] == version("torch") and found["scikit-learn"] == version("scikit-learn")
    assert found["device"] == "cpu" and "no_such_package" not in found
