"""What may be replaced, and that it is replaced whole or not at all."""

import errno
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from safetensors import SafetensorError

from deepchrome import files
from deepchrome.errors import DeepChromeError
from deepchrome.files import File, Folder, only_writer, refuse, replacing

NAMES = ("mark.json", "cells/*.csv", "*.png")


def tree(folder: Path) -> dict[str, str]:
    """Return all that lies below a folder: contents of files, targets of links."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else ("/" if path.is_dir() else path.read_text())
        for path in sorted(folder.rglob("*"))
    }


def write_folder(path: Path, text: str) -> None:
    (path / "cells").mkdir(parents=True)
    for name in ("mark.json", "cells/a.csv", "cells/b.csv"):
        (path / name).write_text(text)


def put(folder: Path, file: Path, text: str) -> None:
    with replacing(Folder(folder, "train", NAMES), file) as (new, other):
        write_folder(new, text)
        other.write_text(text)


def ended_process() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_swaps_in_whole(tmp_path):
    folder, file = tmp_path / "a/out", tmp_path / "b.json"
    for text in ("1", "2"):
        put(folder, file, text)
        assert set(tree(folder).values()) == {"/", text}
        assert file.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.json"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["out"]


@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_keeps_the_earlier_output_on_failure(tmp_path, raised):
    put(tmp_path / "out", tmp_path / "new", "old")
    before = tree(tmp_path)
    outputs = (Folder(tmp_path / "out", "train", NAMES), tmp_path / "new")
    with pytest.raises(raised), replacing(*outputs) as (new, other):  # noqa: PT012
        new.mkdir()
        other.write_text("half")
        raise raised
    assert tree(tmp_path) == before


def test_what_is_not_written_is_removed(tmp_path):
    put(tmp_path / "out", tmp_path / "file", "old")
    with replacing(Folder(tmp_path / "out", "train", NAMES), tmp_path / "file", tmp_path / "no"):
        pass
    assert tree(tmp_path) == {}


# --- what is another's --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("another", "named"),
    [
        ("thesis.txt", "thesis.txt"),
        ("cells/notes.txt", "cells/notes.txt"),
        ("cells/old/a.csv", "cells/old/"),
        ("mine/a.csv", "mine/"),
        ("a.csv", "a.csv"),
        ("Mark.json", "Mark.json"),
        (".git/HEAD", ".git/"),
        (".hidden", ".hidden"),
    ],
)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_folder_with_what_its_writer_did_not_put_there_is_kept(tmp_path, another, named, when):
    folder = tmp_path / "out"
    write_folder(folder, "old")
    expected = rf"out holds what train did not put there.*replaced: {named}\. Name"
    worked = False
    if when == "before":
        (folder / another).parent.mkdir(exist_ok=True)
        (folder / another).write_text("mine")
    before = tree(tmp_path)
    with (  # noqa: PT012
        pytest.raises(DeepChromeError, match=expected),
        replacing(Folder(folder, "train", NAMES)) as (new,),
    ):
        worked = True
        write_folder(new, "new")
        (folder / another).parent.mkdir(exist_ok=True)
        (folder / another).write_text("mine")
        before = tree(folder.parent)
        before = {name: text for name, text in before.items() if not name.startswith(".partial")}
    assert worked == (when == "meanwhile")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe", "link to a folder"])
def test_within_a_folder_a_name_is_not_enough(tmp_path, kind):
    folder = tmp_path / "out"
    write_folder(folder, "old")
    (tmp_path / "precious").write_text("x")
    path = folder / "figure.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / {"link": "precious"}.get(kind, "out"))
    with pytest.raises(DeepChromeError, match=r"replaced: figure\.png"):
        refuse(Folder(folder, "train", NAMES))


def test_what_file_managers_leave_does_not_count(tmp_path):
    write_folder(tmp_path / "out", "old")
    (tmp_path / "out/cells/.DS_Store").write_text("x")
    put(tmp_path / "out", tmp_path / "file", "new")
    assert set(tree(tmp_path / "out").values()) == {"/", "new"}


def test_a_file_replaces_only_what_its_writer_wrote(tmp_path):
    path = tmp_path / "scores.csv"
    output = File(path, "predict", b"gene_id,score\n")
    for text in ("", "gene_id,score\nx,1\n"):
        path.write_text(text)
        with replacing(output) as (new,):
            new.write_text("gene_id,score\ny,1\n")
    path.write_text("a thesis")
    with pytest.raises(DeepChromeError, match="a file that predict did not write"):
        refuse(output)
    path.write_text("gene_id,score\n")
    path.chmod(0o444)
    with pytest.raises(DeepChromeError, match="write-protected"):
        refuse(output)
    assert path.read_text() == "gene_id,score\n"


@pytest.mark.parametrize("made", ["file", "folder"])
def test_a_file_replaces_no_folder_and_a_folder_no_file(tmp_path, made):
    folder, file = tmp_path / "thesis", tmp_path / "notes.txt"
    folder.mkdir()
    (folder / "chapter").write_text("years of work")
    file.write_text("notes")
    for name, to in (("link", folder), ("file link", file), ("nowhere", tmp_path / "no")):
        (tmp_path / name).symlink_to(to)
    before = tree(tmp_path)
    others = [file] if made == "folder" else [folder]
    for target in (*others, tmp_path / "link", tmp_path / "file link", tmp_path / "nowhere"):
        output = Folder(target, "train", ["chapter"]) if made == "folder" else target
        with pytest.raises(DeepChromeError, match=f"which the {made} to be written would replace"):
            refuse(output)
    assert tree(tmp_path) == before


def test_devices_and_pipes_are_kept(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        for output in (path, File(path, "predict", b"x")):
            with pytest.raises(DeepChromeError, match="a device or a pipe"):
                refuse(output)


def test_the_working_directory_and_the_home_folder_are_kept(tmp_path, monkeypatch):
    project, home = tmp_path / "work/project", tmp_path / "users/home"
    for folder in (project, home):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(home))
    outside = (project, home, home.parent, "/", tmp_path / "link", "../project/../../work")
    for target in (".", "..", "../..", "", *outside):
        for output in (target, Folder(target, "train", NAMES)):
            with pytest.raises(DeepChromeError, match="would be replaced with all that is in it"):
                refuse(output)


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "notes").write_text("x")
    for path in (tmp_path / "notes/s.csv", tmp_path / "notes/a/b/s.csv"):
        with pytest.raises(DeepChromeError, match="notes is no folder, so that nothing can be"):
            refuse(path)
    with pytest.raises(DeepChromeError, match="cannot be written"):
        refuse(tmp_path / ("x" * 300))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DeepChromeError, match="is no folder"):
        refuse(tmp_path / "loop/s.csv")


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(DeepChromeError, match="no permission to write in"):
        refuse(tmp_path / "s.csv")
    write_folder(tmp_path / "out", "old")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) == tmp_path)
    with pytest.raises(DeepChromeError, match="no permission to replace"):
        refuse(Folder(tmp_path / "out", "train", NAMES))


def test_what_is_read_is_not_replaced(tmp_path):
    source = tmp_path / "input.csv"
    source.write_text("x")
    os.link(source, tmp_path / "hard")
    (tmp_path / "sub").mkdir()
    for path in (source, tmp_path / "hard", tmp_path / "sub/../input.csv"):
        with pytest.raises(DeepChromeError, match="which the same command reads"):
            refuse(path, reads=[source])
    for reads in ([tmp_path / "out"], [tmp_path / "out/mark.json"]):
        write_folder(tmp_path / "out", "x") if not (tmp_path / "out").exists() else None
        with pytest.raises(DeepChromeError, match="which the same command reads"):
            refuse(Folder(tmp_path / "out", "train", NAMES), reads=reads)
    refuse(tmp_path / "other.csv", reads=[source, tmp_path / "absent"])


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_what_dvc_linked_into_its_cache_is_replaced_and_the_cache_is_not(tmp_path, kind):
    cached = tmp_path / "cache/files/md5/ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    cached.write_text("old")
    cached.chmod(0o444)
    folder, file = tmp_path / "out", tmp_path / "file"
    (folder / "cells").mkdir(parents=True)
    for path in (folder / "mark.json", folder / "cells/a.csv", folder / "cells/b.csv", file):
        path.symlink_to(cached) if kind == "symlink" else os.link(cached, path)
    refuse(File(file, "predict", b"old"))
    put(folder, file, "new")
    assert set(tree(folder).values()) == {"/", "new"}
    assert file.read_text() == "new"
    assert cached.read_text() == "old"
    assert not file.is_symlink()


# --- other processes ----------------------------------------------------------------------------


def test_clears_what_killed_runs_left_of_this_output_alone(tmp_path):
    ended, living = ended_process(), os.getppid()
    for name in (f".partial-{ended}-out", f".partial-{os.getpid()}-out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("x")
    (tmp_path / ".partial-lock-out").write_text("")
    others = [
        f".partial-{ended}-b-out",
        f".partial-{ended}-output",
        f".partial-{living}-out",
        f".partial-{ended}-x.out",
        ".partial-notes-out",
    ]
    for name in others:
        (tmp_path / name).write_text("x")
    with replacing(tmp_path / "out") as (new,):
        new.write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "out"])


def test_names_that_are_patterns_match_themselves_alone(tmp_path):
    ended = ended_process()
    for name in (f".partial-{ended}-a", f".partial-{ended}-[a]"):
        (tmp_path / name).write_text("x")
    with replacing(tmp_path / "[a]") as (new,):
        new.write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".partial-{ended}-a", "[a]"]


def test_the_folder_that_a_killed_run_had_moved_away_is_put_back(tmp_path):
    write_folder(tmp_path / f".partial-{ended_process()}.old-out", "old")
    with pytest.raises(ZeroDivisionError), replacing(Folder(tmp_path / "out", "train", NAMES)):
        raise ZeroDivisionError
    assert set(tree(tmp_path / "out").values()) == {"/", "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_runs_do_not_write_the_same_output(tmp_path):
    script = (
        "import sys; from deepchrome.files import replacing\n"
        "with replacing(sys.argv[1]) as (new,):\n"
        "    new.write_text('first'); print('in', flush=True); sys.stdin.readline()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "out"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])},
    )
    assert first.stdout.readline() == "in\n"
    with pytest.raises(DeepChromeError, match="out: another run is writing it now"):
        replacing(tmp_path / "out").__enter__()
    with replacing(tmp_path / "other") as (new,):  # outputs of other names are free
        new.write_text("x")
    first.communicate("\n")
    assert tree(tmp_path) == {"other": "x", "out": "first"}
    put(tmp_path / "folder", tmp_path / "out", "second")
    assert (tmp_path / "out").read_text() == "second"


def test_many_writers_at_once_leave_one_whole_output(tmp_path):
    refused = []

    def write(text):
        for _ in range(30):
            try:
                put(tmp_path / "out", tmp_path / "file", text)
            except DeepChromeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=write, args=(text,)) for text in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("another run is writing it now" in message for message in refused)
    assert len(set(tree(tmp_path / "out").values())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_reader_finds_the_old_or_the_new_folder_or_for_an_instant_none(tmp_path):
    folder, file = tmp_path / "out", tmp_path / "file"
    put(folder, file, "0")
    done, seen = threading.Event(), []

    def read():
        while not done.is_set():
            assert file.read_text().isdecimal()
            try:
                handle = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                names = ("mark.json", "cells/a.csv", "cells/b.csv")
                opened = [os.open(name, os.O_RDONLY, dir_fd=handle) for name in names]
            except FileNotFoundError:
                continue  # an old one that is being removed
            finally:
                os.close(handle)
            seen.append({os.read(one, 9) for one in opened})
            for one in opened:
                os.close(one)

    thread = threading.Thread(target=read)
    thread.start()
    for i in range(1, 200):
        put(folder, file, str(i))
    done.set()
    thread.join()
    assert seen
    assert all(len(contents) == 1 for contents in seen)


CALLS = ("replace", "rename", "unlink", "rmdir")


def run_and_die(at: int, work) -> bool:
    """Do the work in a process that ends at its at-th change of the disk; tell whether it did."""
    pid = os.fork()
    if pid == 0:
        left = at

        def counted(call, *args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return call(*args, **kwargs)

        for name in CALLS:
            setattr(os, name, partial(counted, getattr(os, name)))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 9)
    return status == 9


def test_killed_at_any_instant_of_the_swap(tmp_path):
    at = 0
    while True:
        place = tmp_path / str(at)
        put(place / "out", place / "file", "old")
        died = run_and_die(at, lambda: put(place / "out", place / "file", "new"))  # noqa: B023
        texts = set(tree(place / "out").values()) - {"/"} if (place / "out").exists() else set()
        assert texts in ({"old"}, {"new"}, set())
        assert (place / "file").read_text() in ("old", "new")
        outputs = (Folder(place / "out", "train", NAMES), place / "file")
        with pytest.raises(ZeroDivisionError), replacing(*outputs):
            raise ZeroDivisionError  # the next run, which comes to nothing
        texts = texts or {"old"}
        assert tree(place / "out") == dict.fromkeys(tree(place / "out"), "/") | dict.fromkeys(
            ("mark.json", "cells/a.csv", "cells/b.csv"), texts.pop()
        )
        assert sorted(path.name for path in place.iterdir()) == ["file", "out"]
        if not died:
            break
        at += 1
    assert at > 8  # three renames, six removals of the old, two locks


# --- the operating system -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "no room"), "file: No space left on device; free some space"),
        (OSError(errno.EMFILE, "x", "a.bam"), "a.bam: Too many open files; allow more.*ulimit"),
        (PermissionError(errno.EACCES, "x", "in.csv"), "in.csv: Permission denied; put the cause"),
        (SafetensorError("I/O error: x (os error 28)"), "file: No space left on device"),
    ],
)
def test_an_error_of_the_system_is_told(tmp_path, error, expected):
    put(tmp_path / "out", tmp_path / "file", "old")
    before = tree(tmp_path)
    outputs = (Folder(tmp_path / "out", "train", NAMES), tmp_path / "file")
    with (  # noqa: PT012
        pytest.raises(DeepChromeError, match=f"{expected}.*is untouched") as raised,
        replacing(*outputs) as (new, _),
    ):
        new.mkdir()
        raise error
    assert raised.value.__cause__ is error
    assert tree(tmp_path) == before


def test_other_errors_pass(tmp_path):
    for error in (BrokenPipeError(errno.EPIPE, "x"), ValueError("os error 28"), OSError("x")):
        with pytest.raises(type(error)) as raised, replacing(tmp_path / "out"):
            raise error
        assert raised.value is error


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", none)
    with only_writer(tmp_path / "out"):
        pass
    assert tree(tmp_path) == {}
