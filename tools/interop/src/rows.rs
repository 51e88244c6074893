// SPDX-License-Identifier: GPL-2.0-or-later

//! What is run: the device, whose ring, the program and its options.

use crate::device::Kind;
use crate::programs::{IN_ORDER, Ring};

pub struct Row {
    pub kind: Kind,
    pub ring: Ring,
    pub program: &'static str,
    pub args: &'static str,
    /// How often the device is killed in mid-flight.
    pub deaths: u32,
    /// The only line that an example has to print. None: a program that measures.
    pub prints: Option<&'static str>,
    /// A part of `make test`, too.
    pub short: bool,
}

impl Row {
    pub fn name(&self) -> String {
        let (kind, ring) = (self.kind.name(), self.ring.name());
        let deaths = match self.deaths {
            0 => String::new(),
            deaths => format!(" deaths={deaths}"),
        };
        format!("{kind}, {ring}: {}{deaths}", self.what())
    }

    /// The options, or the example.
    pub fn what(&self) -> String {
        match self.prints {
            None => self.args.to_owned(),
            Some(_) => format!("examples/{}.c", self.program),
        }
    }

    /// Is this one of the poller that was away?
    pub fn is_away(&self) -> bool {
        self.args.contains("away=1")
    }

    pub fn tokens(&self) -> String {
        let tokens = self
            .args
            .split(' ')
            .find_map(|arg| arg.strip_prefix("tokens="));
        tokens.unwrap_or("plain").to_owned()
    }
}

/// What a poller is told that was away for 65,535, 65,536, 65,537 and 131,072 replies: a
/// token of 16 bits is the same again after 65,536.
pub fn expected_away(ring: Ring, tokens: &str) -> [&'static str; 4] {
    match (ring, tokens) {
        (Ring::C, _) | (_, "plain") => ["told", "fooled", "told", "fooled"],
        _ => ["told"; 4],
    }
}

const fn row(kind: Kind, program: &'static str, args: &'static str) -> Row {
    Row {
        kind,
        ring: Ring::Ours,
        program,
        args,
        deaths: 0,
        prints: None,
        short: false,
    }
}

const fn scmi(args: &'static str) -> Row {
    row(Kind::Scmi, "scmi_polling", args)
}

/// A program of `examples/`, a part of `make test`.
const fn example(kind: Kind, program: &'static str, prints: &'static str) -> Row {
    Row {
        prints: Some(prints),
        ..short(row(kind, program, ""))
    }
}

const fn dies(deaths: u32, row: Row) -> Row {
    Row { deaths, ..row }
}

const fn short(row: Row) -> Row {
    Row { short: true, ..row }
}

/// Both rings, in turns, three times.
fn side_by_side(kind: Kind, program: &'static str, args: &'static str) -> Vec<Row> {
    let rings = [Ring::Ours, Ring::C].into_iter().cycle().take(6);
    let row = |ring| Row {
        ring,
        ..row(kind, program, args)
    };
    rings.map(row).collect()
}

pub fn all() -> Vec<Row> {
    let mut rows = vec![
        example(Kind::Scmi, "scmi", "base protocol 2.0 of rust-vmm"),
        example(
            Kind::Raw,
            "disk",
            "131072 sectors, and the first one holds: hello, disk",
        ),
        short(scmi(
            "tokens=counted threads=4 commands=100000 notifications=10000",
        )),
        scmi("tokens=plain threads=8 commands=200000"),
        scmi("tokens=counted threads=8 commands=400000 indirect=0 notifications=50000"),
        scmi("tokens=wide threads=16 commands=400000"),
        scmi("tokens=wide threads=3 commands=100000 event_index=0"),
        Row {
            ring: Ring::C,
            ..scmi("away=1")
        },
        short(scmi("away=1")),
        short(scmi("away=1 tokens=counted")),
        short(scmi("away=1 tokens=wide")),
    ];
    rows.extend(side_by_side(
        Kind::Scmi,
        "scmi_polling",
        "threads=4 commands=300000",
    ));

    rows.push(short(row(Kind::Raw, "blk", "")));
    let options = [
        (Kind::Qcow2, "queues=4 depth=64"),
        (Kind::Raw, "poll=1 indirect=0"),
        (Kind::Qcow2, "poll=1 queues=2 depth=8 event_index=0"),
        (
            Kind::Raw,
            "ring=64 queues=4 depth=64 indirect=0 event_index=0",
        ),
        (Kind::Qcow2, "ring=4 depth=16"),
        (Kind::Raw, "depth=1 ring=1024 event_index=0"),
        (Kind::Qcow2, "depth=1 poll=1"),
        (Kind::Raw, "resize=1 queues=2 depth=64 passes=10"),
        (Kind::Qcow2, "resize=1 poll=1 indirect=0 ring=128"),
    ];
    rows.extend(options.map(|(kind, args)| row(kind, "blk", args)));
    rows.extend([
        short(dies(10, row(Kind::Qcow2, "blk", "depth=16"))),
        dies(60, row(Kind::Raw, "blk", "queues=2")),
        dies(
            60,
            row(Kind::Raw, "blk", "queues=4 depth=64 indirect=0 poll=1"),
        ),
        dies(60, row(Kind::Qcow2, "blk", "queues=4 depth=64")),
        dies(60, row(Kind::Qcow2, "blk", "ring=64 event_index=0")),
    ]);
    rows.extend(side_by_side(Kind::Raw, "blk", "seconds=2 depth=32"));

    rows.extend(
        [
            "packed=1 packets=3000000",
            "packed=1 ring=250 entries=8 mergeable=1 poll=1 packets=1000000",
            "packed=1 ring=1000 entries=8 indirect=0 mergeable=1 packets=1000000",
            "packed=1 ring=7 event_index=0 packets=1000000",
            "packed=1 ring=3 packets=200000",
            "packets=3000000",
            "entries=4 indirect=0 mergeable=1 poll=1 packets=1000000",
            "ring=1024 entries=8 event_index=0 packets=1000000",
        ]
        .map(|args| row(Kind::Dpdk, "net", args)),
    );
    rows.extend(
        [
            "in_order=1 packets=3000000",
            "in_order=1 entries=4 indirect=0 mergeable=1 poll=1 packets=1000000",
            "in_order=1 packed=1 packets=3000000",
            "in_order=1 packed=1 ring=250 entries=8 mergeable=1 poll=1 packets=1000000",
        ]
        .map(|args| row(Kind::Dpdk, IN_ORDER, args)),
    );
    rows.extend(side_by_side(
        Kind::Dpdk,
        "net",
        "size=60 poll=1 packets=3000000",
    ));
    rows.extend(side_by_side(
        Kind::Dpdk,
        "net",
        "packed=1 size=60 poll=1 packets=3000000",
    ));

    rows.push(row(Kind::Rng, "rng", ""));
    rows.push(row(Kind::Vsock, "vsock", ""));
    rows
}
