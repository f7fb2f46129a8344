"""`fetch roadmap` against a local server that behaves well, and in every bad way we know."""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from deepchrome import files
from deepchrome.data.sources import archive as archives
from deepchrome.data.sources import download, roadmap
from deepchrome.errors import DeepChromeError

CELLS = ("E003", "E123")
SPLITS = ("train", "valid", "test")
ARCHIVE, TABLE = "/files/data.tar.gz", "/57epigenomes.RPKM.pc.gz"


@dataclass
class Reply:
    """How the server answers for one path."""

    body: bytes
    status: int = 200
    content_type: str = "application/gzip"
    ranges: bool = True
    etag: str | None = '"v1"'
    length: int | None = None
    """Content-Length, where it is not the true one."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection ends, one for each of the first answers."""
    statuses: list[int] = field(default_factory=list)
    """Status of each of the first answers."""


@dataclass
class Server:
    """A running server: its address, its answers, and the requests it saw."""

    address: str
    replies: dict[str, Reply]
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def ranges_of(self, path: str) -> list[str | None]:
        """Return the Range header of each request for a path."""
        return [ranges for seen, ranges in self.seen if seen == path]


def _handler(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ranges = self.headers.get("Range")
            server.seen.append((self.path, ranges))
            reply = server.replies.get(self.path)
            if reply is None:
                return self.send_error(404)
            if reply.statuses:
                return self.send_error(reply.statuses.pop(0))
            start, status, body = 0, reply.status, reply.body
            unchanged = self.headers.get("If-Range", reply.etag) == reply.etag
            if ranges and reply.ranges and unchanged:
                start = int(re.fullmatch(r"bytes=(\d+)-", ranges)[1])
                status = 206 if start < len(body) else 416
            body = body[start:]
            self.send_response(status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(reply.length or len(body)))
            if status == 206:
                end = len(reply.body)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            if reply.etag:
                self.send_header("ETag", reply.etag)
            self.end_headers()
            self.wfile.write(body[: reply.cuts.pop(0)] if reply.cuts else body)
            self.close_connection = True
            return None

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a good archive and a good table; a test then changes the replies."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(download, "FIRST_WAIT", 0.01)
    for module in (archives, download, roadmap):  # so that a cut archive of a few kB has a start
        monkeypatch.setattr(module, "CHUNK", 1024)
    state = Server("", {ARCHIVE: Reply(archive()), TABLE: Reply(table())})
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def fetch(server: Server, tmp_path: Path) -> Callable[..., list[str]]:
    """Return `fetch` bound to the server and to folders of this test."""
    (tmp_path / "raw").mkdir()

    def bound(**options: object) -> list[str]:
        options = {
            "output": tmp_path / "raw/roadmap",
            "url": server.address + ARCHIVE,
            "expression_url": server.address + TABLE,
            "cache": tmp_path / "cache",
        } | options
        return roadmap.fetch(**options)

    return bound


def table() -> bytes:
    return gzip.compress(
        b"gene_id\tE000\tE003\tE123\nENSG00000000003\t1.000\t2.000\t3.000\t\n", mtime=0
    )


def tables(cells: tuple[str, ...] = CELLS) -> dict[str, bytes]:
    """Return a tiny published archive: path within it to content, in the published format."""
    rng = np.random.default_rng(0)

    def content() -> bytes:
        rows = [
            f"{gene:06d},{b},{','.join(map(str, rng.poisson(3, 5)))},1"
            for gene in (3, 5)
            for b in range(1, 101)
        ]
        return "\n".join(rows).encode() + b"\n"

    return {f"{cell}/classification/{split}.csv": content() for cell in cells for split in SPLITS}


def member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def archive(
    contents: dict[str, bytes] | None = None,
    *extra: tuple[tarfile.TarInfo, bytes],
    prefix: str = "data/",
) -> bytes:
    """Pack tables and further members."""
    contents = tables() if contents is None else contents
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for info, content in [
            *(member(prefix + name, content) for name, content in contents.items()),
            *extra,
        ]:
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_fetch_writes_tables_expression_and_record(server, fetch, tmp_path):
    notes = fetch()
    found = snapshot(tmp_path / "raw/roadmap")
    record = json.loads(found.pop("sources.json"))
    assert found == tables() | {"57epigenomes.RPKM.pc.gz": table()}
    assert set(record["files"]) == set(found)
    served = server.replies[ARCHIVE].body
    assert record["archive"] == {
        "url": server.address + ARCHIVE,
        "bytes": len(served),
        "md5": hashlib.md5(served).hexdigest(),
        "sha256": hashlib.sha256(served).hexdigest(),
    }
    assert not list((tmp_path / "cache").iterdir())
    assert "2 cell types, 6 tables" in notes[0]
    assert sum("no checksum was known" in note for note in notes) == 2
    assert any("of Roadmap's 56 cell types: E004" in note for note in notes)


@pytest.mark.parametrize("prefix", ["", "./", "data/", "home/someone/v1/data/"])
def test_layout_is_found_below_any_prefix(server, fetch, tmp_path, prefix):
    extra = [
        member(prefix + "README", b"hello"),
        member("__MACOSX/data/E003/classification/._train.csv", b"mac"),
        member(prefix + "E003/regression/train.csv", b"1"),
        member(prefix + "E003", type=tarfile.DIRTYPE),
    ]
    server.replies[ARCHIVE] = Reply(archive(None, *extra, prefix=prefix))
    fetch()
    assert set(tables()) == {
        name for name in snapshot(tmp_path / "raw/roadmap") if name.endswith(".csv")
    }


def test_the_command_shows_bars_and_says_what_was_done(server, project):
    server.replies[ARCHIVE].cuts = [3000]
    options = ("--url", server.address + ARCHIVE, "--expression-url", server.address + TABLE)
    printed = project.ok("fetch", "roadmap", *options)
    for shown in ("expression", "archive", "unpacking", "trying again", "2 cell types, 6 tables"):
        assert shown in printed
    again = project.ok("fetch", "roadmap", *options)
    assert again == "data/raw/roadmap: all 7 files are as fetched; nothing to do\n"


# A second fetch


def test_second_fetch_verifies_and_downloads_nothing(server, fetch):
    fetch()
    requests = len(server.seen)
    assert "all 7 files are as fetched" in fetch()[0]
    md5 = hashlib.md5(server.replies[ARCHIVE].body).hexdigest()
    assert "all 7 files are as fetched" in fetch(checksum=md5)[0]
    assert len(server.seen) == requests


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("edited")])
def test_second_fetch_repairs_a_damaged_folder(fetch, tmp_path, damage):
    fetch()
    good = snapshot(tmp_path / "raw/roadmap")
    damage(tmp_path / "raw/roadmap/E003/classification/valid.csv")
    assert "fetched again: E003/classification/valid.csv" in fetch()[0]
    assert snapshot(tmp_path / "raw/roadmap") == good


def test_changed_content_is_said_and_accepted_only_with_its_checksum(server, fetch, tmp_path):
    fetch()
    before = snapshot(tmp_path / "raw/roadmap")
    changed = archive(tables(("E003",)))
    old, server.replies[ARCHIVE] = server.replies[ARCHIVE].body, Reply(changed, etag='"v2"')
    with pytest.raises(DeepChromeError) as caught:
        fetch(force=True)
    for part in (ARCHIVE, "sources.json", sha256(old), sha256(changed)[7:]):
        assert part in str(caught.value)
    assert snapshot(tmp_path / "raw/roadmap") == before
    fetch(checksum=sha256(changed))
    assert not (tmp_path / "raw/roadmap/E123").exists()


def test_a_mirror_must_hold_the_recorded_content(server, fetch):
    fetch()
    server.replies["/mirror.tar.gz"] = Reply(server.replies[ARCHIVE].body)
    fetch(url=server.address + "/mirror.tar.gz")
    server.replies["/other.tar.gz"] = Reply(archive(tables(("E003",))))
    with pytest.raises(DeepChromeError, match=r"not the content expected by sources\.json"):
        fetch(url=server.address + "/other.tar.gz")


@pytest.mark.parametrize("name", ["notes.txt", "sources.json"])
def test_a_folder_with_other_content_is_not_replaced(server, fetch, tmp_path, name):
    other = tmp_path / "raw/roadmap" / name
    other.parent.mkdir()
    other.write_text("mine")
    with pytest.raises(DeepChromeError, match=r"would be replaced|not a record"):
        fetch()
    assert other.read_text() == "mine"
    assert not server.seen


# Broken connections


def test_a_cut_connection_is_resumed(server, fetch):
    server.replies[ARCHIVE].cuts = [3000, 2000]
    fetch()
    first, second, third = server.ranges_of(ARCHIVE)
    assert first is None
    assert second.startswith("bytes=")
    assert third.startswith("bytes=")
    assert 2000 <= int(second[6:-1]) < int(third[6:-1])


def test_a_cut_connection_starts_again_where_ranges_are_not_served(server, fetch, tmp_path):
    server.replies[ARCHIVE].ranges = False
    server.replies[ARCHIVE].cuts = [3000, 2000]
    fetch()
    assert snapshot(tmp_path / "raw/roadmap").items() >= tables().items()


def test_the_next_run_continues_a_download_given_up(server, fetch, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.replies[ARCHIVE].cuts = [3000]
    size = f"{len(server.replies[ARCHIVE].body):,}"
    with pytest.raises(
        DeepChromeError, match=rf"failed 1 times.* of {size} bytes arrived"
    ) as fault:
        fetch()
    assert server.address + ARCHIVE in str(fault.value)
    fetch()
    assert server.ranges_of(ARCHIVE)[1].startswith("bytes=")


def test_a_run_killed_before_the_last_step_asks_for_nothing_more(server, fetch, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    fetch()
    assert server.ranges_of(TABLE) == [None]


def test_a_web_page_instead_of_the_rest_does_not_cost_the_first_part(server, fetch, monkeypatch):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    good = server.replies[ARCHIVE]
    good.cuts = [3000]
    with pytest.raises(DeepChromeError, match="download failed"):
        fetch()
    server.replies[ARCHIVE] = Reply(b"<html>Please log in", ranges=False)
    with pytest.raises(DeepChromeError, match="it is a web page"):
        fetch()
    server.replies[ARCHIVE] = good
    fetch()
    assert server.ranges_of(ARCHIVE)[2].startswith("bytes=")


@pytest.mark.parametrize("etag", ['"v2"', None])
def test_a_file_that_changed_since_its_first_part_is_started_again(
    server, fetch, monkeypatch, tmp_path, etag
):
    reply = server.replies[ARCHIVE]
    reply.etag = etag and '"v1"'
    reply.cuts = [3000]
    with monkeypatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        with pytest.raises(DeepChromeError):
            fetch()
    contents = tables(("E003", "E004", "E123"))
    server.replies[ARCHIVE] = Reply(archive(contents), etag=etag)
    fetch()
    assert snapshot(tmp_path / "raw/roadmap").items() >= contents.items()


def test_a_busy_server_is_asked_again(server, fetch):
    server.replies[ARCHIVE].statuses = [503, 429]
    fetch()
    assert len(server.ranges_of(ARCHIVE)) == 3


def test_nobody_listens(fetch):
    url = "http://127.0.0.1:9/data.tar.gz"
    with pytest.raises(DeepChromeError, match=f"{url}: the download failed .* --url"):
        fetch(url=url)


def test_unpacking_that_fails_here_does_not_download_again(server, fetch, monkeypatch, tmp_path):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "train.csv")

    with monkeypatch.context() as patch:
        patch.setattr(archives, "_write_member", full)
        with pytest.raises(DeepChromeError, match="No space left on device"):
            fetch()
    assert not (tmp_path / "raw/roadmap").exists()
    fetch()
    assert len(server.ranges_of(ARCHIVE)) == len(server.ranges_of(TABLE)) == 1


# Other content than expected


def html(path: str) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.replies[path] = Reply(
            b"<!doctype html><title>Log in</title>", content_type="text/html"
        )

    return change


def length(path: str, difference: int) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.replies[path].length = len(server.replies[path].body) + difference
        server.replies[path].ranges = False

    return change


def missing(path: str) -> Callable[[Server], None]:
    return lambda server: server.replies.pop(path) and None


def body(path: str, content: bytes) -> Callable[[Server], None]:
    return lambda server: setattr(server.replies[path], "body", content)


def packed(*extra: tuple[tarfile.TarInfo, bytes]) -> Callable[[Server], None]:
    return body(ARCHIVE, archive(None, *extra))


def corrupt(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in tables().items() if name not in names}


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
FAULTS = {
    "archive 404": (missing(ARCHIVE), "HTTP 404"),
    "table 404": (missing(TABLE), "HTTP 404 .* --expression-url"),
    "archive html": (html(ARCHIVE), "it is a web page, .*Log in.*text/html"),
    "table html": (html(TABLE), "it is a web page"),
    "archive longer than sent": (length(ARCHIVE, 50), "failed 5 times"),
    "archive cut by its length": (length(ARCHIVE, -50), "found a broken one"),
    "table cut by its length": (length(TABLE, -20), "found a broken one"),
    "archive empty": (body(ARCHIVE, b""), "it is empty"),
    "archive corrupt": (body(ARCHIVE, corrupt(archive())), "found a broken one"),
    "gzip without a tar": (body(ARCHIVE, gzip.compress(b"a" * 2000)), "found a broken one"),
    "another table": (body(TABLE, gzip.compress(b"id,E003\n1,2\n")), "first line .*id,E003"),
    "absolute path": (packed(member("/etc/cron.d/x", b"x")), "'/etc/cron.d/x' is a path that"),
    "windows path": (packed(member("C:\\x", b"x")), "a path that leads out"),
    "parent folder": (packed(member("data/../../x", b"x")), "a path that leads out"),
    "parent folder, wanted name": (
        packed(member("../E004/classification/test.csv", b"x")),
        "a path that leads out",
    ),
    "symbolic link": (packed(member("data/x", **LINK)), "a symbolic link"),
    "link, wanted name": (
        packed(member("data/E004/classification/test.csv", **LINK)),
        "a symbolic link",
    ),
    "hard link": (packed(member("x", type=tarfile.LNKTYPE, linkname="data/y")), "a hard link"),
    "device": (packed(member("x", type=tarfile.CHRTYPE)), "a device"),
    "pipe": (packed(member("x", type=tarfile.FIFOTYPE)), "a named pipe"),
    "sparse file": (packed(member("x", type=tarfile.GNUTYPE_SPARSE)), "neither a plain file"),
    "unknown kind": (packed(member("x", type=b"V")), "neither a plain file"),
    "file twice": (
        packed(member("v2/E003/classification/train.csv", b"x")),
        "E003/classification/train.csv is in the archive twice",
    ),
    "split missing": (
        body(ARCHIVE, archive(without("E003/classification/valid.csv"))),
        "E003 lacks valid.csv",
    ),
    "split empty": (
        body(ARCHIVE, archive(tables() | {"E123/classification/test.csv": b""})),
        "E123 lacks test.csv",
    ),
    "nothing wanted": (body(ARCHIVE, archive({"readme": b"x"})), "no such file at all"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_message_and_leaves_nothing(server, fetch, tmp_path, change, message):
    change(server)
    with pytest.raises(DeepChromeError, match=f"(?s)^{server.address}/.*{message}"):
        fetch()
    assert not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "v2/e003/classification/Train.csv",
        f"data/{'E' * 300}/classification/train.csv",
        "data/E\n004/classification/test.csv",
        "data/E004 /classification/test.csv",
        "data/E004/classification/test.csv\n",
        "[bold]/E004/classification/test.csv.exe",
    ],
)
def test_a_member_of_another_name_is_passed_over(server, fetch, tmp_path, name):
    packed(member(name, b"x"))(server)
    fetch()
    found = set(snapshot(tmp_path / "raw/roadmap"))
    assert found == {*tables(), "57epigenomes.RPKM.pc.gz", "sources.json"}


@pytest.mark.parametrize("fault", ["archive html", "archive longer than sent", "symbolic link"])
def test_a_fault_leaves_the_earlier_result(server, fetch, tmp_path, fault):
    fetch()
    before = snapshot(tmp_path / "raw")
    change, message = FAULTS[fault]
    change(server)
    with pytest.raises(DeepChromeError, match=message):
        fetch(force=True, checksum=sha256(server.replies[ARCHIVE].body))
    assert snapshot(tmp_path / "raw") == before


def test_refused_content_is_not_kept(server, fetch, tmp_path):
    good = server.replies[ARCHIVE].body
    server.replies[ARCHIVE].body = archive(None, member("/x", b"x"))
    with pytest.raises(DeepChromeError):
        fetch()
    server.replies[ARCHIVE].body = good
    fetch()
    assert (tmp_path / "raw/roadmap/sources.json").is_file()


@pytest.mark.parametrize("option", ["checksum", "expression_checksum"])
@pytest.mark.parametrize("wrong", ["md5:" + "0" * 32, "sha256:" + "0" * 64])
def test_wrong_checksum(server, fetch, tmp_path, option, wrong):
    with pytest.raises(DeepChromeError, match=f"by the checksum given.*expected {wrong} but got"):
        fetch(**{option: wrong})
    assert not list((tmp_path / "raw").iterdir())
    cached = snapshot(tmp_path / "cache")
    assert not any(name.endswith(".part") for name in cached)
    fetch()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checksum": "sha256:12"}, "checksum 'sha256:12': expected md5: and 32"),
        ({"url": "data.tar.gz"}, "--url 'data.tar.gz': expected an address like https://zenodo"),
        ({"expression_url": "ftp://x/y"}, "--expression-url 'ftp://x/y': expected"),
    ],
)
def test_bad_options(server, fetch, options, message):
    with pytest.raises(DeepChromeError, match=message):
        fetch(**options)
    assert not server.seen


# Archive bombs


@pytest.mark.parametrize(
    ("module", "bound", "value", "message"),
    [
        (archives, "MAX_FILE", 2000, r"[\d,]+ bytes, more than"),
        (archives, "MAX_TOTAL", 20_000, "unpacks to more than 20,000 bytes"),
        (archives, "MAX_MEMBERS", 3, "more than 3 members"),
        (download, "MAX_DOWNLOAD", 2000, "the bound on a download"),
        (roadmap, "MAX_EXPRESSION", 20, "unpacks to more than 20 bytes"),
    ],
)
def test_bounds(server, fetch, monkeypatch, tmp_path, module, bound, value, message):
    monkeypatch.setattr(module, bound, value)
    with pytest.raises(DeepChromeError, match=message):
        fetch()
    assert not list((tmp_path / "raw").iterdir())


def zeros(megabytes: int) -> tuple[tarfile.TarInfo, bytes]:
    return member("data/zeros", bytes(megabytes * 2**20))


def test_compression_ratio_is_bounded(server, fetch, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 2**20)
    server.replies[ARCHIVE].body = archive(None, zeros(8))
    with pytest.raises(DeepChromeError, match=r"unpacks to more than .*100 times as much"):
        fetch()


def test_what_follows_the_last_member_is_bounded(server, fetch):
    tail = gzip.compress(bytes(2 * archives.HEADERS))
    server.replies[ARCHIVE].body += tail
    with pytest.raises(DeepChromeError, match="belong to none of its files"):
        fetch()


def test_a_header_is_not_read_into_memory(server, fetch):
    long_name = "x" * (2 * archives.HEADERS)
    server.replies[ARCHIVE].body = archive(None, member(long_name, b"x"))
    with pytest.raises(DeepChromeError, match="belong to none of its files"):
        fetch()


READS = "/reads/E003-H3K4me3.tagAlign.gz"
OTHER_READS = "/reads/E003-H3K9me3.tagAlign.gz"


def tag_align() -> bytes:
    rng = np.random.default_rng(0)
    rows = [f"chr1\t{s}\t{s + 36}\tN\t1000\t+\n" for s in np.sort(rng.integers(0, 10**8, 500))]
    return gzip.compress("".join(rows).encode(), mtime=0)


@pytest.fixture
def fetch_reads(server: Server, tmp_path: Path) -> Callable[..., list[str]]:
    """Return `fetch_reads` bound to the server and to folders of this test."""
    server.replies |= {READS: Reply(tag_align()), OTHER_READS: Reply(tag_align())}

    def bound(marks: str = "H3K4me3", **options: object) -> list[str]:
        options = {
            "url": server.address + "/reads",
            "expression_url": server.address + TABLE,
            "cache": tmp_path / "cache",
        } | options
        return roadmap.fetch_reads(["E003"], marks.split(","), tmp_path / "reads", **options)

    return bound


def test_reads_are_fetched_with_expression_and_record(server, fetch_reads, tmp_path):
    notes = fetch_reads()
    found = snapshot(tmp_path / "reads")
    record = json.loads(found.pop("sources.json"))
    assert found == {"E003-H3K4me3.tagAlign.gz": tag_align(), "57epigenomes.RPKM.pc.gz": table()}
    assert set(record["files"]) == set(found)
    assert record["files"]["E003-H3K4me3.tagAlign.gz"]["url"] == server.address + READS
    assert "E003 lacks H3K27me3, H3K36me3, H3K4me1, H3K9me3" in notes[1]
    assert not list((tmp_path / "cache").iterdir())


def test_reads_that_are_there_are_kept_and_others_added(server, fetch_reads, tmp_path):
    fetch_reads()
    fetch_reads("H3K4me3,H3K9me3")
    assert [path for path, _ in server.seen] == [TABLE, READS, OTHER_READS]
    (tmp_path / "reads/E003-H3K4me3.tagAlign.gz").write_bytes(b"changed")
    fetch_reads("H3K4me3,H3K9me3")
    assert server.seen[-1][0] == READS
    assert len(server.seen) == 4
    assert (tmp_path / "reads/E003-H3K4me3.tagAlign.gz").read_bytes() == tag_align()


def test_a_broken_download_of_reads_goes_on(server, fetch_reads, tmp_path):
    server.replies[READS].cuts = [1500]
    fetch_reads()
    assert server.ranges_of(READS)[0] is None
    assert server.ranges_of(READS)[1].startswith("bytes=")
    assert (tmp_path / "reads/E003-H3K4me3.tagAlign.gz").read_bytes() == tag_align()


BAD_READS = {
    "cut": (tag_align()[:-30], "expected a gzip file, found a broken one"),
    "another format": (gzip.compress(b"gene_id\tE003\n"), "expected a tagAlign"),
    "a web page": (b"<html>gone</html>", "it is a web page"),
}


@pytest.mark.parametrize(("body", "message"), BAD_READS.values(), ids=BAD_READS.keys())
def test_bad_reads_are_not_kept(server, fetch_reads, tmp_path, body, message):
    server.replies[READS].body = body
    with pytest.raises(DeepChromeError, match=message):
        fetch_reads()
    assert not (tmp_path / "reads/E003-H3K4me3.tagAlign.gz").exists()
    server.replies[READS].body = tag_align()
    fetch_reads()


def test_reads_that_unpack_to_too_much(server, fetch_reads, monkeypatch, tmp_path):
    monkeypatch.setattr(archives, "SMALL", 2**20)
    server.replies[READS].body = gzip.compress(b"chr1\t1\t2\tN\t1000\t+\n" + bytes(8 * 2**20))
    with pytest.raises(DeepChromeError, match=r"unpacks to more than .*100 times as much"):
        fetch_reads()
    assert not (tmp_path / "reads/E003-H3K4me3.tagAlign.gz").exists()


def test_unknown_cells_marks_and_files_of_reads(server, fetch_reads, tmp_path):
    with pytest.raises(DeepChromeError, match=r"--marks: found 'H3K4Me3'; did you mean 'H3K4me3'"):
        fetch_reads("H3K4Me3")
    with pytest.raises(DeepChromeError, match="HTTP 404"):
        fetch_reads("H3K27me3")
    with pytest.raises(DeepChromeError, match="--cells: found 'E999'"):
        roadmap.fetch_reads(["E999"], ["H3K4me3"], tmp_path / "x")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("precious")
    with pytest.raises(DeepChromeError, match="holds what fetch did not put there"):
        roadmap.fetch_reads(["E003"], ["H3K4me3"], tmp_path / "mine")


def test_fetch_replaces_no_reads_that_it_did_not_fetch(server, fetch_reads, tmp_path):
    fetch_reads()
    mine = tmp_path / "reads/E003-H3K9me3.tagAlign.gz"
    mine.write_bytes(b"mine")
    seen = len(server.seen)
    with pytest.raises(DeepChromeError, match="a file that fetch did not put there"):
        fetch_reads("H3K4me3,H3K9me3")
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    mine.mkdir()
    with pytest.raises(DeepChromeError, match="found a folder, which the file"):
        fetch_reads("H3K9me3")
    assert len(server.seen) == seen


def test_fetch_writes_through_no_link_into_a_cache(fetch_reads, tmp_path):
    fetch_reads()
    cached = tmp_path / "dvc/ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    for kind in ("symlink", "hardlink"):
        record = tmp_path / "reads/sources.json"
        cached.unlink(missing_ok=True)
        record.rename(cached)
        before = cached.read_bytes()
        record.symlink_to(cached) if kind == "symlink" else os.link(cached, record)
        fetch_reads("H3K9me3" if kind == "symlink" else "H3K4me3", force=True)
        assert cached.read_bytes() == before
        assert not record.is_symlink()
        assert not record.samefile(cached)


def test_two_fetches_into_one_folder_are_not_at_once(server, fetch, fetch_reads, tmp_path):
    for folder, again in (("reads", fetch_reads), ("raw/roadmap", fetch)):
        with (
            files.only_writer(tmp_path / folder),
            pytest.raises(DeepChromeError, match="another run is writing it now"),
        ):
            again()
    assert not server.seen
