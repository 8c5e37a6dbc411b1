import os

from trainer import exit_codes


def test_each_version_has_its_numbers_its_files_and_its_run(state, facts):
    first = state.run("a", elbo=-12.0)
    state.run("a", elbo=-9.0)  # unchanged: no version
    second = state.run("b", elbo=-11.0)
    found = facts("models")
    assert [version["version"] for version in found] == state.versions()[::-1]
    assert [version["state"] for version in found] == ["served", "kept"]
    assert [version["run"] for version in found] == [second, first]
    assert [version["elbo"] for version in found] == [-11.0, -12.0]
    assert [version["damage"] for version in found] == [None, None]
    files = [path for path in (state.pushed / str(found[0]["version"])).rglob("*") if path.is_file()]
    assert found[0]["size"] == sum(path.stat().st_size for path in files)
    assert found[0]["digest"] != found[1]["digest"]


def test_each_version_has_its_card_and_the_served_one_is_said(three, vaeiaf, facts):
    for version in facts("models"):
        assert version["card"] == f"{three.pushed}/{version['version']}/assets.extra/model_card.html"
        assert os.path.exists(version["card"])
    served = three.versions()[-1]
    assert vaeiaf("models")[1].endswith(f"Model card of {served}: {facts('models')[0]['card']}\n")
    vaeiaf("withdraw", served, "--reason", "grey")
    assert os.path.exists(next(one["card"] for one in facts("models") if one["version"] == served))


def test_a_damaged_version_is_exit_code_1(three, vaeiaf):
    assert vaeiaf("models")[0] == exit_codes.DONE
    version = three.versions()[0]
    (three.pushed / str(version) / "file").write_text("else")
    code, out, _ = vaeiaf("models")
    assert code == exit_codes.FAILED
    assert "DAMAGED" in out
    assert f"{three.pushed}/{version}/file has 4 bytes instead of 11" in out


def test_a_pipeline_that_has_pushed_nothing_says_so(state, vaeiaf):
    state.run("a", refused="too low")
    assert vaeiaf("models")[1] == "vaeiaf-toy has no version.\n"


def test_versions_are_known_also_after_a_move_of_the_state_directory(three, facts):
    before = facts("models")
    there = three.root
    three.root = three.root.rename(three.root.with_name("elsewhere"))
    moved = [{**version, "card": version["card"].replace(str(there), str(three.root))} for version in before]
    assert facts("models") == moved
    assert all(version["run"] for version in before)
