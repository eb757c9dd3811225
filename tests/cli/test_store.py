"""ls, rm, gc and doctor: what is in the store, and taking it out."""

import json
import os
import signal
import subprocess

from conftest import TOOL, end

NAMES = {"table", "matrix", "rowmajor", "cube", "nested", "records", "words", "counter", "null"}


def test_ls_of_nothing(empty):
    assert "0 objects" in empty.out("ls")
    assert empty.json("ls") == []
    assert empty.out("ls", "--quiet") == ""


def test_ls_json_says_everything(tool):
    entries = tool.json("ls")
    assert {e["name"] for e in entries} == NAMES | {None}
    by_name = {e["name"]: e for e in entries}
    assert all(e["holders"] == 1 and e["bytes"] % 4096 == 0 and e["bytes"] > 0 for e in entries)
    assert all(e["handle"].startswith("onecopy:1:") and e["handle"].endswith(e["id"]) for e in entries)
    assert by_name["counter"]["writable"] and not by_name["table"]["writable"]
    assert by_name["words"]["kept"] and by_name["words"]["lease_seconds"] is None
    assert not by_name["table"]["kept"] and by_name["table"]["lease_seconds"] == 0


def test_ls_table_and_order(tool):
    lines = tool.out("ls").splitlines()
    assert lines[0].split() == ["ID", "SIZE", "HOLDERS", "AGE", "LEASE", "NOTES", "NAME"]
    assert lines[-1].startswith("10 objects")
    assert {line.split()[-1] for line in lines[1:-1]} == NAMES | {"-"}
    ids = tool.out("ls", "-q").split()
    assert len(ids) == len(set(ids)) == 10 and all(len(i) == 32 for i in ids)
    sizes = [e["bytes"] for e in tool.json("ls", "--size")]
    assert sizes == sorted(sizes, reverse=True)


def test_last_holder_takes_objects_along_and_keep_stays(empty):
    end(empty.share())
    assert [e["name"] for e in empty.json("ls")] == ["words"]
    assert empty.json("gc") == {"objects": 0, "bytes": 0}
    assert "removed" in empty.out("rm", "words")
    assert empty.json("ls") == []


def test_rm_leaves_holders_unharmed(empty):
    program = empty.share()
    said = empty.out("rm", "table")
    assert "1 holder keeps it" in said
    assert "no object" in empty.error("cat", "table")
    assert "matrix" in empty.out("ls")
    end(program)  # ends with 0: it was not harmed


def test_rm_many_reports_each_and_fails_if_any_did(empty):
    program = empty.share()
    done = empty("rm", "table", "no-such", "matrix", check=1)
    assert done.stdout.count(b"removed") == 2 and b"no-such" in done.stderr
    result = {r["object"]: r for r in json.loads(empty("rm", "cube", "gone", "--json", check=1).stdout)}
    assert result["cube"]["removed"] and not result["gone"]["removed"] and result["gone"]["problem"]
    end(program)


def test_rm_everything_as_the_help_says(empty):
    program = empty.share()
    command = f"'{TOOL}' ls -q | xargs -r '{TOOL}' rm"
    assert subprocess.run(command, shell=True, env=empty.environment, stdout=subprocess.DEVNULL).returncode == 0
    assert empty.json("ls") == []
    end(program)


def test_gc_collects_what_a_killed_process_left(empty):
    program = empty.share()
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdin.close()
    program.stdout.close()
    freed = empty.json("gc")
    # Whatever used the store in between may have collected already; nothing may be left.
    assert freed["objects"] >= 0
    assert [e["name"] for e in empty.json("ls")] == ["words"]
    assert [name for name in os.listdir(empty.store) if "table" in name] == []


def test_gc_takes_nothing_in_use(empty):
    program = empty.share()
    assert empty.json("gc") == {"objects": 0, "bytes": 0}
    assert len(empty.json("ls")) == 10
    end(program)


def test_doctor(empty):
    checks = empty.json("doctor")
    assert {c["state"] for c in checks} <= {"ok", "warning"}
    assert all(c["check"] and c["found"] for c in checks)
    assert any(empty.store in c["found"] for c in checks)
    assert all(c["remedy"] for c in checks if c["state"] != "ok")
    assert len(empty.out("doctor").splitlines()) >= len(checks)


def test_a_store_open_to_others_is_refused(empty):
    os.chmod(empty.store, 0o777)
    said = empty.error("ls")
    assert empty.store in said


def test_a_store_that_is_a_link_is_refused(empty, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(empty.store)
    environment = dict(empty.environment, ONECOPY_DIR=str(link))
    done = subprocess.run([TOOL, "ls"], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1 and str(link).encode() in done.stderr


def test_doctor_reports_a_bad_store_and_fails(empty, tmp_path):
    environment = dict(empty.environment, ONECOPY_DIR=str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a directory")
    done = subprocess.run([TOOL, "doctor"], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 1 and b"error" in done.stdout + done.stderr


def test_ten_thousand_objects_are_listed_at_once(empty):
    # Not timed; but a listing that read all locks again for each object would not end within the tool's minute.
    program = empty.share("--many", "10000")
    entries = empty.json("ls")
    assert len(entries) == 10000
    # Other processes' locks come and go while the kernel's list is read, and then it shows some twice or not at all.
    assert any(e["holders"] == 1 for e in entries)
    end(program)
    assert empty.json("ls") == []
