// SPDX-License-Identifier: GPL-2.0-or-later

//! What C's ring is known to do, as others have seen it: if it is not seen
//! here, the tool is blind.

use std::path::Path;

use anyhow::{Context, Result};

use crate::attack::Attack;
use crate::child::{Group, cases};
use crate::forgeries::{NEXT_CLEARED, NEXT_EVERYWHERE, SELF_LOOP};
use crate::life::When;
use crate::queue::{Buffers, Queue};
use crate::verdict::Verdict;

/// On a split ring of C 6.1, with chains.
const KNOWN: [(&str, Verdict, &str); 3] = [
    (NEXT_EVERYWHERE, Verdict::Hang, ""),
    (SELF_LOOP, Verdict::Corruption, "num_free"),
    (NEXT_CLEARED, Verdict::Leak, "num_free"),
];

/// Those that are not seen on `ring`, with what is seen instead.
pub fn unseen(ring: &Path, folder: &Path) -> Result<Vec<String>> {
    let queue = Queue {
        packed: false,
        buffers: Buffers::Chained,
        event_idx: false,
        in_order: false,
    };
    let mut unseen = Vec::new();
    for (name, verdict, text) in KNOWN {
        let is_it = |&(attack, when): &(Attack, When)| {
            when == When::Before && attack.name(queue.packed) == name
        };
        let case = cases(queue).iter().position(is_it).context(name)?;
        let number = Queue::all().iter().position(|&other| other == queue);
        let group = Group {
            ring,
            queue: number.context("no such queue")?,
            turns: 0,
            folder,
        };
        let seen = group.run_one(case)?;
        if seen.verdict != verdict || !seen.text.contains(text) {
            unseen.push(format!(
                "C 6.1, {name}: known for {verdict}, not seen: {}: {}",
                seen.verdict, seen.text
            ));
        }
    }
    Ok(unseen)
}
