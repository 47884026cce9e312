"""Several fleets, one driver: whichever has its answers goes on, cases are dealt as fleets become free."""

import pytest

from twin.simulation.fleets import Wait, fleets_for, work_together


class Slow:
    """A fleet whose answers come after it was asked for them some times."""

    n_shards = 1

    def __init__(self, looks: int, log: list[str], name: str) -> None:
        self.looks, self.log, self.name = looks, log, name

    def submit(self, method, args):
        return [self.looks, args]

    def is_answered(self, handle):
        handle[0] -= 1
        return handle[0] < 0

    def gather(self, handle, what):
        self.log.append(f"{self.name} {what}")
        return handle[1]


def serve(fleet, cases, done):
    for case in cases:
        answers = yield Wait(fleet.submit("solve", [case, case + 1]), f"case {case}")
        done.append((fleet.name, case, answers))


def test_a_program_alone_is_sent_its_answers():
    def program(fleet, got):
        first = yield Wait(fleet.submit("a", [1, 2]), "a")
        second = yield Wait(fleet.submit("b", [3]), "b")
        got += first + second

    log, got = [], []
    fleet = Slow(5, log, "one")
    work_together([(fleet, program(fleet, got))])
    assert got == [1, 2, 3]
    assert log == ["one a", "one b"]


def test_a_free_fleet_takes_the_next_case_and_a_slow_one_holds_nobody_up():
    log, done, cases = [], [], iter(range(6))
    fast, slow = Slow(0, log, "fast"), Slow(3, log, "slow")
    work_together([(slow, serve(slow, cases, done)), (fast, serve(fast, cases, done))])
    assert sorted(case for _, case, _ in done) == list(range(6))
    assert all(answers == [case, case + 1] for _, case, answers in done)
    taken = {name: sum(who == name for who, _, _ in done) for name in ("fast", "slow")}
    assert taken["fast"] > taken["slow"] > 0


def test_the_last_fleet_waits_and_an_error_of_one_ends_all():
    log, done = [], []
    slow = Slow(10**9, log, "slow")
    work_together([(slow, serve(slow, iter([0]), done))])
    assert done, "nobody else can go on, so its answers are waited for"

    def broken(fleet):
        yield Wait(fleet.submit("solve", []), "what fails")
        raise ValueError("no")

    quick = Slow(0, log, "quick")
    with pytest.raises(ValueError, match="no"):
        work_together([(quick, broken(quick)), (slow, serve(slow, iter([0]), done))])


@pytest.mark.parametrize(
    ("asked", "workers", "cases", "n_pss", "fleets"),
    [
        (None, 2, 10, 12, 2),  # a district whose substations do not divide
        (None, 2, 10, 40, 1),
        (None, 64, 10, 1200, 1),  # the state keeps one fleet, and its memory, up to 75 shards
        (None, 150, 10, 1200, 2),
        (None, 64, 3, 16, 3),  # no more than there are cases
        (2, 4, 10, 1200, 2),
        (8, 4, 10, 1200, 4),
        (5, 8, 1, 1200, 1),
    ],
)
def test_number_of_fleets(asked, workers, cases, n_pss, fleets):
    assert fleets_for(asked, workers, cases, n_pss) == fleets
