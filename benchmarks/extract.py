"""Notes per second, and how the extractor compares with one bare Aho-Corasick pass over the same text.

    python benchmarks/extract.py [NOTES] [BYTES]      default 10,000 notes of 10,000 bytes

The notes are generated: sentences of the notes in tests/signals/corpus in seeded random order, so they are somewhat
denser in events than real ones. Both passes run over the same notes in the same process, batch by batch, taking
turns; the bare pass is pyahocorasick's ``iter`` over the text, folded and without blanks, with the same dictionary,
its matches counted and thrown away. That is the automaton anybody would build of these words, a letter a character.
The extractor spells them in halves of characters (``signals.normalise.halves``), found faster by that library; a bare
pass of that one is shown too. Times are one core's, so that waiting for other work on the machine does not count.
Memory is the peak resident size after each tenth.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core against one core; read when numpy is imported

import ahocorasick

from signals.extraction import extract_all
from signals.lexicon import lexicon
from signals.normalise import halves, squeeze
from signals.note import Note, note_from_text

BATCH = 100


def generate(count: int, size: int) -> Iterator[list[Note]]:
    """Batches of notes of about ``size`` bytes in UTF-8, made as they are asked for."""
    corpus = Path(__file__).resolve().parents[1] / "tests" / "signals" / "corpus"
    text = "\n".join(
        json.loads(line)["text"]
        for path in sorted(corpus.glob("notes_*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    )
    sentences = [
        s for s in re.split(r"(?<=[。;\n])", text) if s.strip("- \n") and not re.match(r"[a-z_]+:", s)
    ]
    random_ = random.Random(20250831)
    made = 0
    while made < count:
        batch = []
        for _ in range(min(BATCH, count - made)):
            parts, length = [], 0
            while length < size:
                parts.append(random_.choice(sentences))
                length += len(parts[-1].encode())
            made += 1
            batch.append(note_from_text("".join(parts), name=f"note{made}", known_at="2025-08-31"))
        yield batch


def main() -> None:
    """Run and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    quick, plain = lexicon().automaton, ahocorasick.Automaton()
    for word in lexicon().words:
        plain.add_word(word.surface, word)
    plain.make_automaton()
    full = bare = halved = 0.0
    events = characters = notes = matches = 0
    memory = []
    for batch in generate(count, size):
        start = time.process_time()
        events += extract_all(batch).height
        full += time.process_time() - start
        folded = [squeeze(note.text) for note in batch]
        start = time.process_time()
        for text in folded:
            for _ in plain.iter(text.text):
                matches += 1
        bare += time.process_time() - start
        spelt = [halves(text.codes) for text in folded]
        start = time.process_time()
        for letters in spelt:
            for _ in quick.iter(letters):
                pass
        halved += time.process_time() - start
        notes += len(batch)
        characters += sum(len(note.text) for note in batch)
        if notes % max(BATCH, count // 10) < BATCH:
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    print(
        f"{notes:,} notes of {size:,} bytes ({characters / notes:,.0f} characters), {events / notes:.0f} events a note"
    )
    print(f"extract: {full:.1f} s, {notes / full:,.0f} notes/s, {1e3 * full / notes:.2f} ms a note")
    print(
        f"bare Aho-Corasick pass: {bare:.2f} s, {matches / notes:.0f} matches a note; in halves {halved:.2f} s"
    )
    print(f"ratio: {full / bare:.1f}; to the one in halves {full / halved:.1f}")
    print(f"peak memory by tenths, MiB: {' '.join(map(str, memory))}")


if __name__ == "__main__":
    main()
