import pytest

from deepchrome.errors import DeepChromeError
from deepchrome.files import refuse_existing, replacing


def test_swaps_in_whole(tmp_path):
    folder, file = tmp_path / "a/out", tmp_path / "b.json"
    for content in ("1", "2"):
        with replacing(folder, file) as (new, other):
            new.mkdir()
            (new / content).write_text(content)
            other.write_text(content)
        assert [path.name for path in folder.iterdir()] == [content]
        assert file.read_text() == content
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["2", "a", "b.json", "out"]


def test_keeps_the_earlier_output_on_failure(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")

    def fail():
        with replacing(target, tmp_path / "new") as (new, other):
            new.mkdir()
            other.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "old").read_text() == "old"


def test_clears_what_a_killed_run_left(tmp_path):
    (tmp_path / ".partial-999-out").mkdir()
    with replacing(tmp_path / "out") as (new,):
        new.write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_what_a_command_wrote_itself_may_be_replaced(tmp_path):
    folder = tmp_path / "out"
    refuse_existing(folder, "combine", "mark.json")
    folder.mkdir()
    refuse_existing(folder, "combine", "mark.json")
    (folder / "precious").write_text("x")
    for marks in (("mark.json",), ("mark.json", "other.json")):
        with pytest.raises(DeepChromeError, match=r"combine did not put there.*precious\."):
            refuse_existing(folder, "combine", *marks)
        (folder / "mark.json").write_text("{}")
    refuse_existing(folder, "combine", "mark.json")
    refuse_existing(folder, "combine", "mark.json", names=r"mark\.json|precious")
    with pytest.raises(DeepChromeError, match=r"replaced: precious\."):
        refuse_existing(folder, "combine", "mark.json", names=r"mark\.json")
    with pytest.raises(DeepChromeError, match="expected a folder, found a file"):
        refuse_existing(folder / "precious", "combine")


@pytest.mark.parametrize("made", ["file", "folder"])
def test_a_file_replaces_no_folder_and_a_folder_no_file(tmp_path, made):
    folder, file = tmp_path / "thesis", tmp_path / "notes.txt"
    folder.mkdir()
    (folder / "chapter").write_text("years of work")
    file.write_text("notes")
    (tmp_path / "link").symlink_to(folder)

    def write(target):
        with replacing(tmp_path / "first", target) as (first, new):
            first.write_text("x")
            new.mkdir() if made == "folder" else new.write_text("scores")

    for target in [file] if made == "folder" else [folder, tmp_path / "link"]:
        with pytest.raises(DeepChromeError, match=f"which the {made} to be written would replace"):
            write(target)
    assert (folder / "chapter").read_text() == "years of work"
    assert file.read_text() == "notes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "notes.txt", "thesis"]


def test_the_working_directory_and_the_home_folder_are_kept(tmp_path, monkeypatch):
    project, home = tmp_path / "work/project", tmp_path / "home"
    for folder in (project, home):
        folder.mkdir(parents=True)
        (folder / "mine").write_text("x")
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(home))
    for target in (".", "..", "../..", project, home):
        with pytest.raises(DeepChromeError, match="would be replaced with all that is in it"):
            replacing(target).__enter__()
    assert (project / "mine").is_file()
    assert (home / "mine").is_file()
