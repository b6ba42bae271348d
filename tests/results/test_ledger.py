"""The books of a run: whatever is not in the results is told, whoever lost it."""

from dataclasses import replace
from itertools import accumulate, pairwise

from coffea.processor.executor import WorkItem
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.results.ledger import FILE, Entries, Failure, Ledger

CHUNKS = tuple(
    WorkItem(dataset, f"root://replica//{file}", "t", start, start + 10, b"", {FILE: file})
    for dataset in ("D", "E")
    for file in ("a.root", "b.root")
    for start in (0, 10, 20)
)


def entries_of(chunks):
    processed = {}
    for chunk in chunks:
        known = {"file": chunk.usermeta[FILE], "filename": chunk.filename, "treename": "t"}
        known |= {"entrystart": chunk.entrystart, "entrystop": chunk.entrystop}
        total = processed.get(chunk.dataset, Entries())
        processed[chunk.dataset] = total + Entries.of_chunk(known)
    return processed


def place(entry):
    return entry.dataset, entry.file, entry.start, entry.stop


@given(st.sets(st.sampled_from(range(len(CHUNKS)))), st.sets(st.sampled_from(range(len(CHUNKS)))))
def test_what_is_missing_is_expected_without_processed(lost, told):
    processed = [chunk for number, chunk in enumerate(CHUNKS) if number not in lost]
    failed = tuple(Failure.of_chunk(CHUNKS[number], "gone", 3) for number in sorted(lost & told))
    ledger = Ledger(CHUNKS, entries_of(processed), failed)
    expected = {place(Failure.of_chunk(CHUNKS[number], "", 0)) for number in lost}
    assert {place(failure) for failure in ledger.missing} == expected
    assert len(ledger.missing) == len(lost)
    assert ledger.complete == (not lost)
    reasons = [failure.error for failure in ledger.missing]
    assert reasons.count("gone") == len(failed)
    assert reasons.count("lost without a reason") == len(lost) - len(failed)
    content = ledger.as_json()
    assert content["expected_events"] == 10 * len(CHUNKS)
    assert content["processed_events"] == 10 * len(processed)
    assert content["complete"] == ledger.complete


#: A part of a file is processed, lost with a reason, or lost without one.
FATES = ("processed", "failed", "lost")


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(FATES)), max_size=12), st.data())
def test_every_entry_of_a_chunk_that_was_cut_is_accounted_for_once(pieces, data):
    fates = [fate for length, fate in pieces for _ in range(length)]
    # chunks and pieces end independently of each other
    places = st.sets(st.integers(0, len(fates)))
    ends = sorted({0, len(fates)} | data.draw(places))
    chunks = [
        WorkItem("D", "a.root", "t", start, stop, b"", {FILE: "a.root"})
        for start, stop in pairwise(ends)
    ]
    starts = [0, *accumulate(length for length, _ in pieces)]
    found = [
        (start, stop, fate)
        for (start, stop), (_, fate) in zip(pairwise(starts), pieces, strict=True)
    ]
    failed = [Failure("D", "a.root", a, b, "gone", 1) for a, b, fate in found if fate == "failed"]
    done = [replace(chunks[0], entrystart=a, entrystop=b) for a, b, f in found if f == "processed"]
    ledger = Ledger(tuple(chunks), {"D": Entries()} | entries_of(done), tuple(failed))
    told = [None] * len(fates)
    for failure in ledger.missing:
        for entry in range(failure.start, failure.stop):
            assert told[entry] is None
            told[entry] = {"gone": "failed", "lost without a reason": "lost"}[failure.error]
    assert told == [None if fate == "processed" else fate for fate in fates]
    assert ledger.as_json()["processed_events"] == fates.count("processed")


def test_file_without_entries_is_no_loss():
    empty = WorkItem("D", "a.root", "t", 0, 0, b"", {FILE: "a.root"})
    assert Ledger((empty,), {"D": Entries()}).complete
    assert not Ledger((empty,), {}).complete
    failed = (Failure.of_chunk(empty, "corrupt", 1),)
    assert Ledger((empty,), {"D": Entries()}, failed).missing == list(failed)


def test_file_that_was_not_opened_is_missing():
    unopened = (
        Failure("D", "c.root", 0, None, "no such file", 3),
        Failure("F", "d.root", 0, 70, "no such file", 3),
    )
    ledger = Ledger(CHUNKS[:1], entries_of(CHUNKS[:1]), unopened=unopened)
    assert ledger.missing == list(unopened)
    content = ledger.as_json()
    assert (content["expected_events"], content["processed_events"]) == (80, 10)
    assert content["uncounted_files"] == 1
    assert content["datasets"]["F"] == {
        "dataset_events": 70,
        "expected_events": 70,
        "processed_events": 0,
        "uncounted_files": 0,
    }
