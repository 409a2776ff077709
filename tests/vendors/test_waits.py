# ruff: noqa: E501 -- vendor files keep their lines
"""`again`, `for`, `tell` and `[[keep]]`: what may stand there, and the run that adds its waits up without a clock."""

from __future__ import annotations

import tomllib

import pytest

from authflow.errors import VendorFileError
from authflow.templates.answers import Outcome
from authflow.vendors.flow import Pause, Rest, Transition, needs_a_person, refusals, run
from authflow.vendors.loading import load
from authflow.vendors.vendor import Vendor

FILE = """
name = "slow"
base_url = "https://slow.example/"
start = "signed_out"
identity = ["key"]
settings.patience = { default = "2m" }
credentials.key = { secret = true }
[exchanges.begin]
request = { url = "begin", form = { key = "{key}" } }
answers.begun = { status = 202, json = { job = "{job}", every = "{interval?}" } }
answers.denied = { status = 401 }
[exchanges.poll]
request = { url = "poll", query = { job = "{job}" } }
answers.granted = { status = 200, json = { token = "{access}", refresh = "{refresh?}" } }
answers.pending = { status = 202, again = "{interval?}", for = "{patience}" }
answers.denied = { status = 401 }
[exchanges.refresh]
request = { url = "refresh", form = { refresh = "{refresh}" } }
answers.granted = { status = 200, json = { token = "{access}", refresh = "{refresh?}" } }
answers.denied = { status = 401 }
[states]
signed_out = { send = "begin", begun = "waiting", denied = "refused" }
waiting = { send = "poll", granted = "signed_in", denied = "refused" }
signed_in = { present = { headers = { Authorization = "Bearer {access}" } }, rejected = "stale" }
stale = { send = "refresh", granted = "signed_in", denied = "signed_out", missing = "signed_out" }
refused = { fail = "No." }
"""


def vendor(old: str = "", new: str = "") -> Vendor:
    assert old in FILE
    return load(tomllib.loads(FILE.replace(old, new) if old else FILE))


def test_the_file_is_right() -> None:
    assert vendor().warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ('again = "{interval?}"', 'again = "0.5s"', "exchanges.poll.answers.pending.again: sooner than after a second"),
        ('for = "{patience}"', 'for = "31m"', "exchanges.poll.answers.pending.for: longer than half an hour"),
        ('again = "{interval?}"', 'again = "soon"', "exchanges.poll.answers.pending.again: must be a number of seconds"),
        ('again = "{interval?}"', 'again = "+soon"', "exchanges.poll.answers.pending.again: must be a number of seconds"),
        ('again = "{interval?}"', 'again = "{interval}s"', "exchanges.poll.answers.pending.again: a duration, or one placeholder"),
        ('again = "{interval?}"', 'again = "{nobody}"', "exchanges.poll.answers.pending.again: unknown value 'nobody'"),
        ('for = "{patience}"', 'for = "{_}"', "exchanges.poll.answers.pending.for: {_} keeps nothing"),
        (
            '[states]\n',
            'answers.later = { status = 202, again = "5s" }\n[states]\n',
            "exchanges.refresh.answers.later.again: the refresh token that this exchange sends would be sent again",
        ),
        ('refresh = "{refresh?}" } }\nanswers.pending', 'refresh = "{refresh?}" }, again = "5s" }\nanswers.pending', "exchanges.poll.answers.granted.again: what brings a token is not repeated"),
        ('start = "signed_out"', 'start = "signed_out"\nanswers.rejected = { status = 401, again = "5s" }', "answers.rejected.again: only an exchange is repeated"),
        ('start = "signed_out"', 'start = "signed_out"\nkeep = [{ headers = { X = "{x}" }, for = "5s" }]', "keep.0.for: only an exchange is repeated"),
        ('start = "signed_out"', 'start = "signed_out"\nkeep = [{ json = { r = "{refresh}" } }]', "keep.0: {refresh} is rotated by an exchange"),
        ('start = "signed_out"', 'start = "signed_out"\nkeep = [{ json = { k = "{key}" } }]', "keep.0: {key} is a credential, and captured it would be stored"),
        ('signed_in = { present', 'signed_in = { tell = "Hello.", present', "states.signed_in.tell: only a sending state tells a person something"),
        ('waiting = { send', 'waiting = { tell = "Say {word}.", send', "states.waiting.tell: unknown value 'word'"),
        ('waiting = { send', 'waiting = { tell = "Wait {interval}.", send', "states.waiting.tell: {interval} has no value on some path to the state waiting"),
        ('start = "signed_out"', 'start = "signed_out"\nanswers.rejected = { status = [200, 401] }', "answers.rejected: every good answer is this event"),
        ('start = "signed_out"', 'start = "signed_out"\nanswers.rejected = { text = "{reason}" }', "answers.rejected: every good answer is this event"),
        ('start = "signed_out"', 'start = "signed_out"\nanswers.rejected = { status = 200, headers = { X = "{x?}" }, json = { a = "{a?}" } }', "answers.rejected: every good answer is this event"),
    ],
)  # fmt: skip
def test_what_may_not_be_said(old: str, new: str, finding: str) -> None:
    with pytest.raises(VendorFileError) as caught:
        vendor(old, new)
    assert f"slow>:{finding}" in str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        "{ status = 200, json = { error = '{reason}' } }",
        "{ status = 200, json = { data = '{absent}' } }",
        "{ status = 200, headers = { X-Error = '{reason}' } }",
        "{ status = 200, cookies = { gone = '{_}' } }",
        "{ status = 200, text = '<error>{_}' }",
        "{ status = [401, 403] }",
    ],
)
def test_an_event_that_says_what_it_must_hold_is_right(event: str) -> None:
    assert vendor('start = "signed_out"', f'start = "signed_out"\nanswers.rejected = {event}').warnings == ()


def test_a_value_that_is_taken_only_to_send_again_is_warned_of() -> None:
    event = 'answers.rejected = { status = 401 }\nanswers.next = { status = 200, headers = { X-CSRF = "{csrf}" } }'
    found = load(
        tomllib.loads(
            FILE.replace('start = "', event + '\nstart = "').replace('rejected = "', 'next = "signed_in", rejected = "')
        )
    )
    assert [str(one) for one in found.warnings if "[[keep]]" in str(one)] == [
        "<slow>:answers.next: the request of an answer that was good is sent once more "
        "([[keep]] reads the value, and sends nothing again)"
    ]


@pytest.mark.parametrize("wait", ['again = "{interval:ms?}"', 'for = "{patience:minutes}"'])
def test_a_converter_where_seconds_are_written_is_warned_of(wait: str) -> None:
    name = wait.partition(" ")[0]
    old = 'again = "{interval?}"' if name == "again" else 'for = "{patience}"'
    (told,) = [one for one in vendor(old, wait).warnings if "in seconds" in one.reason]
    assert told.key.endswith(f".{name}")


def test_a_keep_that_reads_nothing_is_warned_of() -> None:
    keep = 'keep = [{ headers = { X = "{csrf}" } }, { status = 200, headers = { Y = "{_}" } }]'
    found = vendor('start = "signed_out"', f'{keep}\nstart = "signed_out"')
    assert [(one.key, one.reason) for one in found.warnings] == [("keep.1", "it reads no value")]


def test_what_is_repeated_is_no_refusal() -> None:
    flow = vendor().flow
    assert refusals(flow.exchanges["poll"]) == ("denied",)


# --- the run ----------------------------------------------------------------------------------------------------------


def waits(pauses: list[Pause], waited: float = 0.0, flow: Vendor | None = None) -> tuple[list[float], str]:
    """The waits of a run that is told so often that the vendor is not done, and how it ends."""
    walked: list[Transition] = []
    found = flow or vendor()
    steps = run(found.flow, "waiting", {"job": "j"}, {"key"}, walked, waited)
    told, step = [], next(steps)
    try:
        for pause in pauses:
            step = steps.send(Outcome("pending", {}, wait=pause))
            told.append(step.wait)
        steps.send(Outcome("granted", {"access": "a"}))
    except StopIteration as end:
        rest: Rest = end.value
        return told, rest.state.name
    raise AssertionError("a run that does not end")


def test_waits_are_added_up() -> None:
    assert waits([Pause(5, 20)] * 9) == ([5, 5, 5, 5], "waiting")
    assert waits([Pause(5, 20)] * 4) == ([5, 5, 5, 5], "signed_in")
    assert waits([Pause(5, 20)] * 9, waited=11) == ([5], "waiting")


def test_a_longer_wait_stays_longer() -> None:
    assert waits([Pause(5, 60, 5.0), Pause(5, 60), Pause(5, 60, 5.0)]) == ([10, 10, 15], "signed_in")


def test_a_wait_is_a_second_at_least_and_half_an_hour_at_most() -> None:
    told, end = waits([Pause(0.0, 1e9)] * 3000)
    assert (set(told), len(told), end) == ({1.0}, 1800, "waiting")


def test_time_that_is_over_takes_its_edge() -> None:
    late = vendor(
        'granted = "signed_in", denied = "refused" }\nsigned_in',
        'granted = "signed_in", denied = "refused", pending = "refused" }\nsigned_in',
    )
    assert waits([Pause(5, 7)] * 3, flow=late) == ([5], "refused")


@pytest.mark.parametrize("state", ["signed_out", "waiting", "signed_in", "stale"])
def test_who_needs_a_person(state: str) -> None:
    assert not needs_a_person(vendor().flow, state)
    told = vendor("waiting = { send", 'waiting = { tell = "Wait.", send')
    assert needs_a_person(told.flow, state) is (state in ("signed_out", "waiting"))
