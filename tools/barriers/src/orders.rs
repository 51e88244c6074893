// SPDX-License-Identifier: GPL-2.0-or-later
//! The orders that the ring needs, and where the machine code must have them.

use Needs::{Acquire, Full, Read, Release, Write};

/// What stands between two accesses, or what kind of access the second one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// `virtio_mb`.
    Full,
    /// `virtio_rmb`.
    Read,
    /// `virtio_wmb`.
    Write,
    /// The second one is a load-acquire, whatever came first.
    Acquire,
    /// The second one is a store-release, whatever came first.
    Release,
}

/// Accesses have the names of [`crate::code::Frame`]: `shared::split::used_idx` is what
/// `used_idx` in `ring/src/shared/split.rs` does, `A in B` what it does for its caller
/// `B`, direct or not. `call in B` is a call of `B`'s through a pointer, `return` the
/// function's end.
pub struct Order {
    pub name: &'static str,
    /// The accesses that come first. If there are none: whatever the program did before
    /// the function.
    pub before: &'static [&'static str],
    pub needs: Needs,
    /// The accesses that come second.
    pub after: &'static [&'static str],
    /// The functions of `src/queue` that must have it. It is checked in all.
    pub functions: &'static [&'static str],
    /// Where it need not hold.
    pub except: &'static str,
    /// The type of the memory that it is about, where the names of the accesses do not
    /// say it.
    pub memory: &'static str,
}

pub const ORDERS: [Order; 19] = [
    Order {
        name: "split: a chain is written before the index that makes it available (2.7.13)",
        before: &[
            "shared::split::write",
            "shared::split::write_avail_ring",
            "shared::tables::write",
            "shared::tables::{closure#0}",
        ],
        needs: Write,
        after: &["shared::split::write_avail_idx"],
        functions: ADD,
        ..ANY
    },
    Order {
        name: "split: a batch is written before the index that makes it available (2.7.13)",
        after: &["shared::split::write_avail_idx in split::publish_batch"],
        needs: Write,
        functions: &["batch::add_bufs"],
        ..ANY
    },
    Order {
        name: "split: the index is written before the device's event or flags are read (2.7.13.4.1)",
        needs: Full,
        after: &["shared::split::avail_event", "shared::split::used_flags"],
        functions: &["kick::kick", "kick::kick_early", "kick::kick_prepare"],
        ..ANY
    },
    Order {
        name: "split: the used index is read before the entry that it covers (2.7.14)",
        before: &["shared::split::used_idx"],
        needs: Read,
        after: &["shared::split::used_element"],
        functions: GET,
        ..ANY
    },
    Order {
        name: "split: the event is written before the used index is read again (2.7.14)",
        before: &["shared::barrier::store_full in shared::split::publish_used_event"],
        needs: Full,
        after: &["shared::split::used_idx"],
        functions: &["poll::enable_cb_delayed"],
        ..ANY
    },
    Order {
        name: "split: the event is written before the used index is read for a poller (2.7.14)",
        needs: Full,
        after: &[
            "shared::split::used_idx in lib::poll",
            "shared::split::used_idx in lib::poll64",
        ],
        functions: &["poll::poll", "poll::poll64"],
        ..ANY
    },
    Order {
        name: "packed: a chain is written before the flags that make it available (2.8.21.1.1)",
        before: &[
            "shared::packed::write",
            "shared::tables::write",
            "shared::tables::{closure#0}",
        ],
        needs: Write,
        after: &["shared::packed::write_flags in packed::publish"],
        functions: ADD,
        // All but the first chain's flags come before the batch is published.
        except: "batch::add_longer",
        ..ANY
    },
    Order {
        name: "packed: a batch is written before the flags that make it available (2.8.21.1.1)",
        before: &["shared::packed::write", "call in queue::batch::add_batch"],
        needs: Write,
        after: &["shared::packed::write_flags in packed::publish_batch"],
        functions: &["batch::add_bufs"],
        memory: "PackedShared",
        ..ANY
    },
    Order {
        name: "packed: the used position is written before a batch overwrites flags",
        needs: Write,
        after: &[
            "shared::packed::write_flags in packed::add_ones",
            "call in queue::batch::add_batch",
        ],
        functions: &["batch::add_bufs"],
        except: "batch::add_ones",
        memory: "PackedShared",
        ..ANY
    },
    Order {
        name: "packed: the flags are written before the device's event is read (2.8.21.3.1)",
        needs: Full,
        after: &["shared::packed::device_event"],
        functions: &["kick::kick", "kick::kick_prepare"],
        ..ANY
    },
    Order {
        name: "packed: the flags are read before the element that they mark as used (2.8.22)",
        before: &["shared::packed::flags"],
        needs: Read,
        after: &["shared::packed::used_element"],
        functions: GET,
        ..ANY
    },
    Order {
        name: "packed: the event's offset is written before its flags (2.8.10)",
        before: &["shared::packed::write_driver_off_wrap"],
        needs: Write,
        after: &["shared::packed::write_driver_flags"],
        functions: &[
            "poll::enable_cb",
            "poll::enable_cb_delayed",
            "poll::enable_cb_prepare",
        ],
        ..ANY
    },
    Order {
        name: "packed: the event is written before the ring is read again (2.8.22)",
        before: &["shared::packed::write_driver_flags"],
        needs: Full,
        after: &["shared::packed::flags"],
        functions: &["poll::enable_cb", "poll::enable_cb_delayed"],
        ..ANY
    },
    Order {
        name: "packed: the event is written before the ring is read for a poller (2.8.22)",
        needs: Full,
        after: &[
            "shared::packed::flags in lib::poll",
            "shared::packed::flags in lib::poll64",
        ],
        functions: &["poll::poll", "poll::poll64"],
        ..ANY
    },
    Order {
        name: "both: the event is written before get_buf returns (2.7.14, 2.8.22)",
        before: &["shared::barrier::store_full"],
        needs: Full,
        after: &["return"],
        functions: GET,
        ..ANY
    },
    Order {
        name: "both: a poller reads the ring before the used position the second time",
        before: &[
            "shared::split::used_idx in lib::poll_position",
            "shared::packed::flags in lib::poll_position",
        ],
        needs: Read,
        after: &["shared::cells::get in position::get"],
        functions: &["poll::poll", "poll::poll64"],
        ..ANY
    },
    Order {
        name: "both: the used position is written before a reset clears the ring",
        before: &["shared::cells::set in position::restart"],
        needs: Write,
        after: &["shared::split::clear", "shared::packed::clear"],
        functions: &["reset::reset"],
        ..ANY
    },
    Order {
        name: "both: a poller reads the used position with acquire",
        needs: Acquire,
        after: &["shared::cells::get in position::get"],
        functions: &["poll::enable_cb", "poll::poll", "poll::poll64"],
        ..ANY
    },
    Order {
        name: "both: who takes a buffer writes the used position with release",
        needs: Release,
        after: &["shared::cells::set in position::set"],
        functions: GET,
        ..ANY
    },
];

const ANY: Order = Order {
    name: "",
    before: &[],
    needs: Full,
    after: &[],
    functions: &[],
    except: "none",
    memory: "",
};

const ADD: &[&str] = &[
    "add::add_counted",
    "add::add_few_out",
    "add::add_inbuf",
    "add::add_inbuf_ctx",
    "add::add_longer",
    "add::add_longer_sgs",
    "add::add_outbuf",
    "add::add_sgs_direct",
    "add::add_singles",
];

const GET: &[&str] = &[
    "batch::get_bufs",
    "get_buf::get_buf",
    "get_buf::get_buf_checked",
    "get_buf::get_buf_ctx",
];
