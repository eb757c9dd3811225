"""Help, exit codes, and bad input."""

import pytest
from conftest import end

VERBS = ["ls", "info", "cat", "rm", "gc", "verify", "doctor"]


def test_help_names_every_verb(empty):
    text = empty.out("--help")
    assert all(f"\n  {verb} " in text for verb in VERBS)
    assert "Exit status" in text and "Examples" in text


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_that_says_more_than_its_options(empty, verb):
    text = empty.out(verb, "--help")
    assert "--json" in text and len(text.splitlines()) > 8
    assert max(map(len, text.splitlines())) <= 120


def test_version(empty):
    assert empty.out("--version").strip().count(".") == 2


def test_a_wrong_word_is_named(empty):
    assert "no verb prices. There are ls, info, cat" in empty.error("prices", check=2)
    for number in ("-1", "many", "1e9", "9" * 40):
        assert f"a whole number from 0 on, not {number}" in empty.error("cat", "x", "--head", number, check=2)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-verb"],
        ["ls", "--no-such-option"],
        ["ls", "surplus"],
        ["cat"],
        ["cat", "a", "b"],
        ["cat", "x", "--head"],
        ["cat", "x", "--head", "many"],
        ["cat", "x", "--head", "-1"],
        ["info"],
        ["info", "x", "--depth", "-3"],
        ["rm"],
        ["verify"],
        ["gc", "--json", "x"],
    ],
)
def test_a_wrong_command_line_is_2_and_changes_nothing(empty, arguments):
    assert empty.error(*arguments, check=2)
    assert "Traceback" not in empty.error(*arguments, check=2)


@pytest.mark.parametrize(
    "what",
    [
        "nobody",
        "",
        "0" * 32,
        "ffff",
        "onecopy:1:",
        "onecopy:1:0000000000000000:0000000000000000:" + "0" * 32,
        "onecopy:9:x:y:z",
        "onecopy:1:" + "a" * 5000,
        "/no/such/file",
        "missing.onecopy",
        "/dev",
        "/dev/null",
        "../../etc/passwd",
        "name\nwith\tcontrol",
        "наме",
        "x" * 4000,
        "%s%n%d{}{0}",
    ],
)
@pytest.mark.parametrize("verb", ["info", "cat", "rm", "verify"])
def test_what_is_not_there_is_1_with_a_reason(empty, verb, what):
    said = empty.error(verb, what)
    assert said.startswith("onecopy: ") and len(said) > 30


def test_bytes_that_are_no_text(empty):
    assert empty.error("cat", b"\xff\xfebad".decode("utf-8", "surrogateescape"))


def test_an_ambiguous_id_asks_for_more_digits(empty):
    # Ids are random: with 10,000 of them, some four digits begin at least two.
    program = empty.share("--many", "10000")
    ids = sorted(empty.out("ls", "-q").split())
    twin = next(a for a, b in zip(ids, ids[1:]) if a[:4] == b[:4])
    assert "Give more digits" in empty.error("cat", twin[:4])
    empty.out("cat", twin[:12])
    end(program)


def test_a_handle_of_another_machine_names_it(empty):
    said = empty.error("cat", "onecopy:1:0123456789abcdef:0123456789abcdef:" + "0" * 32)
    assert "0123456789abcdef" in said
