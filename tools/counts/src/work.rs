// SPDX-License-Identifier: GPL-2.0-or-later
//! What is done over and over, and its words.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use testkit::device::Options;

/// The function that adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `virtqueue_add_outbuf`
    Outbuf,
    /// `virtqueue_add_inbuf`
    Inbuf,
    /// `virtqueue_add_inbuf_ctx`, without a context where there may be tables
    InbufCtx,
    /// `virtqueue_add_sgs`: the lengths of the lists that the device reads, and of those
    /// that it writes; 0 stands for no list
    Sgs([u16; 3], [u16; 3]),
    /// `virtqueue_add_bufs` and `virtqueue_get_bufs`, a batch at a time
    Bufs,
}

impl Call {
    /// Its word, which the number of entries follows.
    const WORDS: [(&str, Self); 4] = [
        ("entries", Self::Outbuf),
        ("inbuf", Self::Inbuf),
        ("inbuf_ctx", Self::InbufCtx),
        ("bufs", Self::Bufs),
    ];
}

/// What is done over and over: `batch` buffers are added, the device uses
/// them, the driver takes them back. As words:
/// `packed entries 3 batch 32 indirect size 1024 callbacks irq delayed poll wraps
/// premapped in_order`, of which all but the first are optional. In place of `entries 3` may
/// stand `inbuf 3`, `inbuf_ctx 3`, `bufs 3`, or `sgs 1,16/1` for two lists that the
/// device reads and one that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Packed, else split.
    pub packed: bool,
    /// How buffers are added.
    pub call: Call,
    /// Elements of a buffer.
    pub entries: u16,
    /// Buffers for each kick.
    pub batch: u16,
    /// In an indirect table.
    pub indirect: bool,
    /// Descriptors in the ring.
    pub size: u16,
    /// Callbacks stay on; else they are turned off once.
    pub callbacks: bool,
    /// The device interrupts for each batch; callbacks are off while its buffers are
    /// taken, and on again afterwards, as in virtio_blk.
    pub irq: bool,
    /// After each batch, a callback is wanted when most buffers are used, as in
    /// virtio_net.
    pub delayed: bool,
    /// For each batch a poll token, and a poll that is true.
    pub poll: bool,
    /// Wraps are counted.
    pub wraps: bool,
    /// The driver maps its buffers.
    pub premapped: bool,
    /// VIRTIO_F_IN_ORDER: the device uses a batch with one entry.
    pub in_order: bool,
}

type Flag = fn(&mut Work) -> &mut bool;

/// The words that are there or not, in their order, and what they set.
const FLAGS: [(&str, Flag); 8] = [
    ("indirect", |work| &mut work.indirect),
    ("callbacks", |work| &mut work.callbacks),
    ("irq", |work| &mut work.irq),
    ("delayed", |work| &mut work.delayed),
    ("poll", |work| &mut work.poll),
    ("wraps", |work| &mut work.wraps),
    ("premapped", |work| &mut work.premapped),
    ("in_order", |work| &mut work.in_order),
];

/// What the kernel's drivers do: driver, and words for [`Work`] without the layout.
/// (drivers/firmware/arm_scmi/virtio.c, char/virtio_console.c, char/hw_random,
/// net/vmw_vsock/virtio_transport.c, block/virtio_blk.c, scsi/virtio_scsi.c,
/// fs/fuse/virtio_fs.c, net/virtio_net.c)
pub const DRIVERS: &[(&str, &str)] = &[
    ("scmi", "sgs 1/1 poll"),
    ("rng", "inbuf 1 irq"),
    ("hvc-out", "entries 1"),
    ("hvc-in", "inbuf 1 batch 8 irq"),
    ("vsock-out", "sgs 1,1/ batch 4 irq"),
    ("vsock-in", "inbuf 1 batch 32 irq"),
    ("blk-4K", "sgs 1/1,1 batch 4 irq"),
    ("blk-16K", "sgs 1,4/1 batch 4 irq"),
    ("blk-64K", "sgs 1/16,1 batch 4 irq"),
    ("blk-256K", "sgs 1,64/1 batch 2 irq"),
    ("blk-504K", "sgs 1/126,1 irq"),
    ("scsi-read", "sgs 1/1,16 batch 4 irq"),
    ("scsi-write", "sgs 1,16/1 batch 4 irq"),
    ("fs-read", "sgs 1,1/1,4 batch 2 irq"),
    ("fs-lookup", "sgs 1,1,1/1,1 batch 2 irq"),
    ("net-out", "entries 1 batch 16 delayed"),
    ("net-out", "entries 2 batch 16 delayed"),
    ("net-out", "entries 4 batch 8 delayed"),
    ("net-out", "entries 18 batch 4 delayed"),
    ("net-in", "inbuf 1 batch 32 irq"),
    ("net-in", "inbuf_ctx 1 batch 32 irq"),
    ("net-in-mapped", "inbuf_ctx 1 batch 32 irq premapped"),
    ("net-out-mapped", "entries 2 batch 16 delayed premapped"),
    ("net-out-many", "bufs 1 batch 32 delayed"),
    ("net-out-many", "bufs 4 batch 8 delayed"),
];

/// Single calls of functions whose cost grows with the lists.
pub const LISTS: &[&str] = &[
    "sgs 1/1 batch 32",
    "sgs 1,1/1 batch 32",
    "sgs 1,16/1 batch 4",
    "entries 16 batch 4",
    "entries 64 batch 2",
];

/// What a device that uses buffers in order saves, a batch with one entry.
pub const IN_ORDER: &[&str] = &[
    "entries 1 batch 32 in_order",
    "entries 1 batch 32 callbacks in_order",
    "entries 3 batch 32 in_order",
    "inbuf 1 batch 32 irq in_order",
    "sgs 1/1 batch 32 in_order",
];

impl Work {
    /// One buffer of one element at a time, callbacks off, in a ring of 256.
    pub const fn plain(packed: bool) -> Self {
        Self {
            packed,
            call: Call::Outbuf,
            entries: 1,
            batch: 1,
            indirect: false,
            size: 256,
            callbacks: false,
            irq: false,
            delayed: false,
            poll: false,
            wraps: false,
            premapped: false,
            in_order: false,
        }
    }

    /// Words without a layout, for both, and with indirect descriptors, too, where they
    /// make a difference.
    pub fn variants(words: &str) -> impl Iterator<Item = Self> {
        let works = ["split", "packed"].map(|layout| {
            let direct: Self = format!("{layout} {words}").parse().expect("words of ours");
            let indirect = (direct.entries > 1).then_some(Self {
                indirect: true,
                ..direct
            });
            [Some(direct), indirect]
        });
        works.into_iter().flatten().flatten()
    }

    /// Can a ring without this project's functions do it?
    pub fn is_c(&self) -> bool {
        self.call != Call::Bufs
    }

    /// Is it `virtqueue_add_outbuf` and `virtqueue_get_buf` and nothing else?
    pub fn is_simple(&self) -> bool {
        self.call == Call::Outbuf
            && !(self.irq || self.delayed || self.poll || self.wraps || self.premapped)
    }

    /// The rows by which rings are compared, four for either layout: one
    /// element, alone and in batches; three, direct and in a table.
    pub const ROWS: [Self; 8] = {
        let mut rows = [Self::plain(false); 8];
        let mut i = 0;
        while i < rows.len() {
            rows[i].packed = i >= 4;
            rows[i].entries = if i % 4 < 2 { 1 } else { 3 };
            rows[i].batch = if i % 4 == 0 { 1 } else { 32 };
            rows[i].indirect = i % 4 == 3;
            i += 1;
        }
        rows
    };

    /// Descriptors of the ring that a buffer takes.
    pub fn descriptors(&self) -> u16 {
        if self.indirect && self.entries > 1 {
            1
        } else {
            self.entries
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            packed: self.packed,
            size: self.size,
            indirect: self.indirect,
            event_idx: true,
            strong: false,
            in_order: self.in_order,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if self.packed { "packed" } else { "split" };
        match self.call {
            Call::Sgs(outs, ins) => {
                write!(f, "{layout} sgs {}/{}", Lengths(outs), Lengths(ins))?;
            }
            call => {
                let word = Call::WORDS.iter().find(|(_, c)| *c == call);
                let word = word.map_or("", |(word, _)| word);
                write!(f, "{layout} {word} {}", self.entries)?;
            }
        }
        write!(f, " batch {}", self.batch)?;
        if self.size != Self::plain(false).size {
            write!(f, " size {}", self.size)?;
        }
        let mut work = *self;
        for (word, flag) in FLAGS {
            if *flag(&mut work) {
                write!(f, " {word}")?;
            }
        }
        Ok(())
    }
}

/// Lengths of lists, with commas.
struct Lengths([u16; 3]);

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = self.0.iter().filter(|length| **length > 0);
        let lengths: Vec<_> = lengths.map(u16::to_string).collect();
        f.write_str(&lengths.join(","))
    }
}

impl FromStr for Lengths {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lengths = [0; 3];
        for (i, length) in text.split_terminator(',').enumerate() {
            let place = lengths.get_mut(i).context("more than three lists")?;
            *place = length
                .parse()
                .with_context(|| format!("a list of '{length}'"))?;
        }
        Ok(Self(lengths))
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut work = match words.next() {
            Some("split") => Self::plain(false),
            Some("packed") => Self::plain(true),
            _ => bail!("'{text}' starts with neither split nor packed"),
        };
        while let Some(word) = words.next() {
            if let Some((_, flag)) = FLAGS.iter().find(|(name, _)| *name == word) {
                *flag(&mut work) = true;
                continue;
            }
            let value = words.next().unwrap_or_default();
            let call = Call::WORDS.iter().find(|(name, _)| *name == word);
            let number = match (word, call) {
                (_, Some((_, call))) => {
                    work.call = *call;
                    &mut work.entries
                }
                ("batch", None) => &mut work.batch,
                ("size", None) => &mut work.size,
                ("sgs", None) => {
                    let lists = value.split_once('/');
                    let (outs, ins) = lists.with_context(|| format!("sgs in '{text}'"))?;
                    let (Lengths(outs), Lengths(ins)) = (outs.parse()?, ins.parse()?);
                    work.call = Call::Sgs(outs, ins);
                    work.entries = outs.iter().chain(&ins).sum();
                    continue;
                }
                _ => bail!("'{word}' in '{text}' is not known"),
            };
            *number = value.parse().with_context(|| format!("{word} '{value}'"))?;
        }
        let descriptors = u32::from(work.batch) * u32::from(work.descriptors());
        ensure!(
            (1..=u32::from(work.size)).contains(&descriptors),
            "'{text}': {descriptors} descriptors at a time in a ring of {}",
            work.size
        );
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_there_and_back() {
        for text in [
            "split entries 1 batch 1",
            "packed entries 3 batch 32 size 1024 indirect callbacks poll wraps",
            "split sgs 1,16/1 batch 4 irq",
            "packed sgs 1,1/ batch 1 delayed",
            "split inbuf_ctx 1 batch 2 premapped",
            "packed bufs 4 batch 8",
            "split entries 1 batch 32 in_order",
        ] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        assert_eq!("packed".parse::<Work>().unwrap(), Work::plain(true));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "entries 1",
            "split entries",
            "split entries x",
            "split batch 0",
            "split entries 64 batch 5",
            "split 3",
            "split sgs 1",
            "split sgs 1,1,1,1/1",
        ] {
            assert!(text.parse::<Work>().is_err(), "{text:?}");
        }
        // A table takes one descriptor.
        "split entries 64 batch 5 indirect".parse::<Work>().unwrap();
    }
}
