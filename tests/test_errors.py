"""Errors: one tree, each an instance of a client's own class where it is asked to be, copied and pickled whole."""

from __future__ import annotations

import pickle

import pytest

from authflow import errors as e

TREE = [
    e.CredentialsRefused,
    e.VendorUnavailable,
    e.VendorAnswerError,
    e.VendorFileError,
    e.UntrustedOrigin,
    e.ConfigurationError,
    e.StoreError,
]


class TheirError(IOError):
    def __init__(self, *args: object, request: object = None) -> None:
        super().__init__(*args)
        self.request = request


@pytest.mark.parametrize("kind", TREE)
def test_one_tree(kind: type[e.AuthFlowError]) -> None:
    error = kind("why", vendor="v", exchange="x", status=401, retry_after=5.0)
    also = e.as_also(error, TheirError, request="theirs")
    for each in (
        error,
        error.copy(),
        also,
        also.copy(),
        pickle.loads(pickle.dumps(error)),
        pickle.loads(pickle.dumps(also)),
    ):
        assert isinstance(each, kind)
        assert isinstance(each, e.AuthFlowError)
        assert (each.args, each.vendor, each.exchange, each.status, each.retry_after) == (("why",), "v", "x", 401, 5.0)
        assert str(each).startswith("why")
        assert type(each).__name__ == kind.__name__
    assert isinstance(also, TheirError)
    assert isinstance(pickle.loads(pickle.dumps(also)), TheirError)
    assert also.request == "theirs"
    assert not isinstance(error, TheirError)
    assert type(e.as_also(also, TheirError)) is type(also)


def test_the_message_counts_down() -> None:
    error = e.CredentialsRefused("a: Refused.", retry_after=60.0)
    assert str(error) == "a: Refused. Not tried again for 60 s unless the credentials change."
    later = error.copy()
    later.retry_after = 12.4
    assert str(later) == "a: Refused. Not tried again for 12 s unless the credentials change."
    assert str(e.VendorUnavailable("a: no answer", retry_after=30.0)).endswith("again in 30 s at the earliest")
    assert str(e.VendorUnavailable("a: no answer")) == "a: no answer"


def test_a_copy_is_another_error() -> None:
    error = e.StoreError("why")
    assert error.copy() is not error
    assert error.copy().__traceback__ is None


def test_a_finding_is_one_line() -> None:
    assert str(e.Finding("f.toml", "a.b", "wrong", "right")) == "f.toml:a.b: wrong (right)"
    assert str(e.Finding("f.toml", "", "wrong")) == "f.toml: wrong"
    assert str(e.Finding("f", "a\nb\x00", "\u202ex\u200b", "\u2028")) == "f:a\\u000ab\\u0000: \\u202ex\\u200b (\\u2028)"


def test_a_file_error_says_what_is_wrong_where_and_how_many_more() -> None:
    findings = tuple(e.Finding("f", key, "x", line=index) for index, key in enumerate("abcdefg", 1))
    error = e.VendorFileError(findings=findings, vendor="v")
    assert str(error) == "f:1:a: x; 2:b: x; 3:c: x; 4:d: x; 5:e: x [and 2 more: authflow check]"
    assert pickle.loads(pickle.dumps(error)).findings == findings
    assert str(e.VendorFileError(findings=findings[:1])) == "f:1:a: x"
