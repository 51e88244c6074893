// SPDX-License-Identifier: GPL-2.0-or-later

//! Where this ring is allowed to differ from C's: the one table, which the
//! comparison consults and the documentation is made of.
//!
//! A rule says what the answer has to be instead; nothing is left out of the
//! comparison. Where C would not survive an input, or the comparison can't make
//! it, the rule has a test elsewhere.

use std::fmt::{self, Display, Write};

use clap::ValueEnum;

use crate::memory::Mismatch;

/// Rules that the comparison applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Id {
    #[value(name = "table-id")]
    TableEntry,
    PollBeyondRing,
    TooLarge,
    PackedVring,
    TokenCounted,
    PollCounted,
    ResizeOrder,
    DelayedBroken,
    Features,
    NotThere,
    PollUpper,
    InOrderEvent,
    InOrderPoll,
    InOrderReset,
    InOrderDetach,
}

/// Where a rule is put to the test.
enum Test {
    /// The comparison applies it.
    By(Id),
    /// A test of its own, for what C would not survive or the comparison does
    /// not reach.
    Own(&'static str),
}

use Test::{By, Own};

/// One difference: a row of the documentation's tables.
struct Rule {
    what: &'static str,
    c: &'static str,
    here: &'static str,
    why: &'static str,
    test: Test,
}

/// From both kernels' rings.
const BOTH: &[Rule] = &[
    Rule {
        what: "`id` in packed indirect tables",
        c: "not written: what was in the memory before",
        here: "0",
        why: "a device can see it; the specification reserves it (2.8.7)",
        test: By(Id::TableEntry),
    },
    Rule {
        what: "poll with a position beyond a packed ring",
        c: "read out of bounds",
        here: "true, nothing is read",
        why: "such a token is from another ring or from before a resize, so that there may be used buffers",
        test: By(Id::PollBeyondRing),
    },
    Rule {
        what: "`virtqueue_resize` above 32768",
        c: "done, if `num_max` allows it",
        here: "-ENOMEM: the queue is reset, and keeps its size",
        why: "the specification's limits: beyond them, an index is ambiguous",
        test: By(Id::TooLarge),
    },
    Rule {
        what: "`virtqueue_get_vring` on a packed ring",
        c: "a pointer to something else",
        here: "NULL",
        why: "a packed ring has no `struct vring`",
        test: By(Id::PackedVring),
    },
    Rule {
        what: "`data` NULL, no entries, ctx on a queue with indirect descriptors",
        c: "BUG()",
        here: "-EINVAL and one line; nothing has changed",
        why: "a mistake is reported, and the program goes on",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "`virtqueue_reset`, `_resize` without `recycle`, buffers in flight",
        c: "a call of NULL",
        here: "-EINVAL and one line; nothing has changed, the device is not asked",
        why: "nobody would get the buffers back",
        test: Own("c_tests/reset.c"),
    },
    Rule {
        what: "a list shorter than its count",
        c: "0, and a descriptor is lost",
        here: "-EINVAL and one line",
        why: "the caller learns of the mistake",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "a list longer than its count",
        c: "written beyond the table",
        here: "-EINVAL and one line; entries after those announced are not read",
        why: "the memory after the list may hold anything",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "a list that links to itself, in `virtqueue_add_sgs`",
        c: "never returns",
        here: "-EINVAL and one line after 65,536 entries (split) or 1,048,576 (packed); on a \
               queue without indirect descriptors -ENOSPC after as many as the ring has",
        why: "no ring takes a longer list; the limit of packed tables is this library's",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "a buffer of more than 65,536 entries in a split ring's indirect table",
        c: "0; `next` wraps around, and the table has no end",
        here: "-EINVAL and one line; nothing has changed",
        why: "`next` has 16 bits (2.7.5)",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "a buffer of more entries than the ring has, without indirect descriptors",
        c: "-ENOSPC; warns once, whatever the queue",
        here: "-ENOSPC, and one line, once for each queue",
        why: "a driver that waits for room would wait for ever",
        test: Own("c_tests/bad_add.c"),
    },
    Rule {
        what: "a device that was never set up: a list head in `vqs` is NULL",
        c: "waits for ever for the device's lock, or crashes",
        here: "NULL and one line, before the lock is touched; breaking such a device does \
               nothing, and one line says so",
        why: "first programs have a zeroed device, and on x86 a lock of zero is a closed one",
        test: Own("c_tests/create.c"),
    },
    Rule {
        what: "the device's lock does not open within a second",
        c: "waits",
        here: "waits, too, and writes one line",
        why: "the program may have forgotten to set it up",
        test: Own("c_tests/lock.c"),
    },
    Rule {
        what: "a queue of size 0 or above 32768, or a split one whose size is no power of two",
        c: "some functions make one",
        here: "NULL and one line",
        why: "the specification's limits: beyond them, an index is ambiguous",
        test: Own("c_tests/create.c"),
    },
    Rule {
        what: "breaking or mending a queue beside `virtqueue_resize`",
        c: "allowed",
        here: "the caller serialises: a resize runs alone",
        why: "a resize replaces the ring, so that no other call may use the queue meanwhile",
        test: Own("include/virtio_ring.h says it"),
    },
    Rule {
        what: "`vring_interrupt` beside get_buf",
        c: "may return IRQ_NONE although another buffer is used",
        here: "looks again",
        why: "an interrupt that no handler claims is disabled after a while",
        test: Own("ring/tests/model.rs"),
    },
    Rule {
        what: "`vring_align` not a power of two, or below 4; areas of a given ring not aligned",
        c: "tried",
        here: "NULL and one line",
        why: "the library relies on the specification's alignment (2.7)",
        test: Own("c_tests/create.c"),
    },
    Rule {
        what: "`virtqueue_get_desc_addr`, `virtqueue_get_avail_addr` and `virtqueue_get_used_addr` on a ring that the program made",
        c: "BUG()",
        here: "0 and one line",
        why: "a mistake is reported, and the program goes on",
        test: Own("c_tests/create.c"),
    },
    Rule {
        what: "NEXT flags in shared memory",
        c: "followed when a buffer is given back: a device can make it loop, or lose descriptors",
        here: "not read",
        why: "the device can write them",
        test: Own("tests/regressions/hostile.rs"),
    },
    Rule {
        what: "breaking or mending a queue",
        c: "turns off event index and indirect descriptors, too, in the userspace build: \
            `WRITE_ONCE()` writes an int",
        here: "sets one flag",
        why: "as in the kernel; testkit/src/c_ring.rs makes the C rings do the same",
        test: Own("the comparison breaks and mends queues"),
    },
    Rule {
        what: "byte order of a queue",
        c: "the device's features at each use",
        here: "the device's features when the queue was made",
        why: "it is decided once, not at each field",
        test: Own("none: on little-endian machines it is the same"),
    },
    Rule {
        what: "strong barriers (`weak_barriers` false, ORDER_PLATFORM)",
        c: "abort in the userspace build",
        here: "the kernel's instructions",
        why: "hardware needs them",
        test: Own("tests/carry"),
    },
    Rule {
        what: "`sg_dma_address()` on premapped queues",
        c: "0 in the userspace build",
        here: "the entry's `dma_address`",
        why: "as in the kernel",
        test: Own("c_tests/dma.c"),
    },
    Rule {
        what: "64-bit addresses of a packed ring",
        c: "cut off in the userspace build",
        here: "whole",
        why: "as in the kernel",
        test: Own("c_tests/packed.c"),
    },
    Rule {
        what: "indirect tables",
        c: "allocated for each buffer",
        here: "up to 128 entries, in memory that belongs to the descriptor; beyond that, allocated",
        why: "allocating costs more than the rest of the call",
        test: Own("the comparison looks at tables, not at where they are"),
    },
    Rule {
        what: "the bad used entry's line",
        c: "`NAME:id 300 out of range`",
        here: "the same, preceded by `virtio_ring: virtqueue_get_buf: `",
        why: "every line names library and function",
        test: Own("c_tests/get_buf.c"),
    },
];

/// From 6.1's, where 6.12's is ours.
const OLD: &[Rule] = &[
    Rule {
        what: "`virtqueue_resize` on a ring that the program made",
        c: "-EPERM, whatever the size",
        here: "-E2BIG, -EINVAL or 0 if the size is too large, 0 or unchanged; else -EPERM",
        why: "6.12's order",
        test: By(Id::ResizeOrder),
    },
    Rule {
        what: "`virtqueue_enable_cb_delayed` on a broken queue",
        c: "goes on",
        here: "true, nothing is written",
        why: "6.12's; else a caller could spin",
        test: By(Id::DelayedBroken),
    },
    Rule {
        what: "`vring_transport_features`",
        c: "clears NOTIFICATION_DATA (38), leaves 41 alone",
        here: "leaves NOTIFICATION_DATA, clears 41",
        why: "6.12's",
        test: By(Id::Features),
    },
    Rule {
        what: "`virtqueue_reset`, `vring_notification_data`",
        c: "not there",
        here: "6.12's",
        why: "one library for both",
        test: By(Id::NotThere),
    },
    Rule {
        what: "`virtqueue_set_dma_premapped`",
        c: "-EINVAL without the DMA API; the flag is never read",
        here: "0, and it is read",
        why: "6.12's",
        test: Own("c_tests/dma.c"),
    },
    Rule {
        what: "the flags of a packed add that fails in mid-chain",
        c: "stay written",
        here: "restored",
        why: "6.12's: a shorter chain at the same place would go on into them",
        test: Own("ring/src/tests/unmapped.rs"),
    },
];

/// From rings with the wrap counter series.
const SERIES: &[Rule] = &[
    Rule {
        what: "the upper half of a poll token, wraps counted",
        c: "packed: laps, so that its lowest bit repeats the wrap counter; a reset leaves it",
        here: "packed: the bits that the position leaves free count, too: a token comes again \
               after 2^32 descriptors, not 2^24 (size 256); a reset moves it on by one",
        why: "a token that repeats can fool its poller",
        test: By(Id::TokenCounted),
    },
    Rule {
        what: "poll while wraps are counted",
        c: "tells from the token, then the ring: false on a packed ring that was filled again, \
            or with a token from before a reset",
        here: "true exactly when there is a used buffer that the token's holder has not seen",
        why: "a poller that is told \"nothing new\" goes to sleep",
        test: By(Id::PollCounted),
    },
    Rule {
        what: "`virtqueue_use_wrap_counter` when FEATURES_OK is set",
        c: "-EBUSY",
        here: "0",
        why: "only DRIVER_OK makes a device live",
        test: Own("c_tests/series.c"),
    },
];

/// From rings of 7.0 and later.
const MAINLINE: &[Rule] = &[
    Rule {
        what: "packed: the upper half of a token that is given to poll",
        c: "taken for a wrap counter of 1",
        here: "ignored while wraps are not counted, as by earlier kernels",
        why: "tokens have 16 bits then",
        test: By(Id::PollUpper),
    },
    Rule {
        what: "the event while a batch is taken back",
        c: "written after every buffer",
        here: "written at the end of the batch",
        why: "the device can use nothing else before, and each of these writes needs a full barrier",
        test: By(Id::InOrderEvent),
    },
    Rule {
        what: "poll and both enable_cb within a batch, packed; poll with an old token",
        c: "\"nothing new\", although buffers of the batch are left",
        here: "there are used buffers",
        why: "a poller that is told \"nothing new\" goes to sleep",
        test: By(Id::InOrderPoll),
    },
    Rule {
        what: "`virtqueue_reset`, split or within a batch",
        c: "the next buffer to come back breaks the queue",
        here: "the queue is as new",
        why: "that is what a reset is for",
        test: By(Id::InOrderReset),
    },
    Rule {
        what: "the order in which buffers are detached",
        c: "by descriptor number",
        here: "as they were added",
        why: "the order is kept everywhere else",
        test: By(Id::InOrderDetach),
    },
    Rule {
        what: "a batch whose id is that of no buffer in flight",
        c: "every buffer in flight is handed out, then the queue breaks; without end, if the \
            driver adds each again",
        here: "the queue breaks at once, and nothing is handed out",
        why: "the device did not use them",
        test: Own("c_tests/in_order.c"),
    },
    Rule {
        what: "a split ring's used entry with id 0xffffffff",
        c: "taken for one buffer",
        here: "the queue breaks",
        why: "it is out of range",
        test: Own("c_tests/in_order.c"),
    },
    Rule {
        what: "a batch of more buffers than the used index announces",
        c: "handed out",
        here: "the queue breaks at once",
        why: "the device did not use them",
        test: Own("c_tests/in_order.c"),
    },
    Rule {
        what: "NEXT flags in the descriptor table",
        c: "followed when a buffer is given back: descriptors in flight are written to",
        here: "not read",
        why: "the device can write them",
        test: Own("c_tests/in_order.c"),
    },
];

/// Which rules were applied, and how often.
#[derive(Clone, Default)]
pub struct Applied {
    counts: [u64; Id::InOrderDetach as usize + 1],
    /// One that must not be: for the rules' own tests.
    without: Option<Id>,
}

impl Applied {
    pub fn without(rule: Option<Id>) -> Self {
        Self {
            without: rule,
            ..Self::default()
        }
    }

    /// Notes that a rule was needed.
    pub fn allow(&mut self, rule: Id) -> Result<(), Mismatch> {
        self.counts[rule as usize] += 1;
        match self.without == Some(rule) {
            true => Err(Mismatch(format!("differs as the rule {rule} has it"))),
            false => Ok(()),
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// Each rule, and how often it was applied.
    pub fn counts(&self) -> impl Iterator<Item = (&Id, u64)> {
        Id::value_variants().iter().zip(self.counts)
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().expect("none is hidden");
        f.write_str(name.get_name())
    }
}

/// The table as Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "<!-- Written by `make differences` from tools/differential/src/rules.rs. -->\n\n\
         # What differs from C, and why\n\n\
         Everything else is equal, call by call and byte by byte. `make differential` compares\n\
         both rings, and applies the rules in the last column: a rule says what the answer has\n\
         to be instead of C's. The rows without a rule name their own test.\n",
    );
    for (rules, title, head) in [
        (BOTH, "From both kernels' rings", "C"),
        (OLD, "From 6.1's, where this is 6.12's ring", "6.1"),
        (SERIES, "From rings with the wrap counter series", "series"),
        (MAINLINE, "From the rings of 7.0 to 7.3-rc1", "7.x"),
    ] {
        let _ = write!(
            text,
            "\n## {title}\n\n| | {head} | here | why | rule or test |\n|---|---|---|---|---|\n"
        );
        for Rule {
            what,
            c,
            here,
            why,
            test,
        } in rules
        {
            let test = match test {
                By(id) => format!("rule `{id}`"),
                Own(test) => (*test).to_owned(),
            };
            let _ = writeln!(text, "| {what} | {c} | {here} | {why} | {test} |");
        }
    }
    text
}
