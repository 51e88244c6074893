// SPDX-License-Identifier: GPL-2.0-or-later

//! A queue with both of its sides, in the middle of its work: where an attack
//! finds it. What the device knows it has read before the attack.

use std::iter;

use testkit::Functions;
use testkit::device::{Area, Areas, Chain, Used};

use crate::driver::Driver;
use crate::queue::Queue;
use crate::verdict::{Checked, corruption, leak};

/// A chain as the device has read it.
pub struct Taken {
    pub token: usize,
    pub chain: Chain,
    /// Its descriptors in the ring.
    pub slots: Vec<u16>,
    /// Its indirect table.
    pub table: Option<Area>,
}

/// In which order the chains of a batch are used; the last one is not.
const ORDER: [usize; 3] = [2, 0, 1];
/// The same where it has to be that in which they were added.
const IN_ORDER: [usize; 3] = [0, 1, 2];
pub const UNUSED: usize = 3;

pub struct Scene {
    pub queue: Queue,
    pub driver: Driver,
    pub ring: Areas,
    /// What was in them a lap ago, by 16 bits.
    before: [Vec<u16>; 3],
    /// The batch that the device has.
    pub taken: Vec<Taken>,
    /// How many of `ORDER` the driver has taken back.
    pub returned: usize,
    /// Is the attack to go on while buffers come back?
    pub lasting: bool,
    /// In order: the last token of the open batch, and the length that the device wrote.
    batch: Option<(usize, u32)>,
    /// In order: it is not known which batch is open, or whether one is.
    unsure: bool,
}

impl Scene {
    /// A queue with a batch in flight, all of it taken by the device. Each place
    /// of the ring has been used before.
    pub fn new(functions: &Functions, queue: Queue) -> Checked<Self> {
        let options = queue.options();
        let driver = Driver::new(functions, options);
        let addresses = driver.pair.queue.areas();
        let mut scene = Self {
            queue,
            driver,
            // SAFETY: the queue's areas, which live as long as the scene.
            ring: unsafe { Areas::new(addresses, options.packed, options.size) },
            before: Default::default(),
            taken: Vec::new(),
            returned: 0,
            lasting: false,
            batch: None,
            unsure: false,
        };
        while scene.driver.added_descriptors() < scene.ring.size {
            scene.pass_batch()?;
        }
        scene.before = scene.ring.all().map(|area| {
            let halves = (0..area.length()).step_by(2);
            halves.map(|offset| area.get16(offset)).collect()
        });
        scene.add_batch()?;
        scene.take_batch();
        Ok(scene)
    }

    pub fn size(&self) -> u16 {
        self.ring.size as u16
    }

    /// What half a word of an area was a lap ago.
    pub fn before(&self, area: usize, offset: usize) -> u16 {
        self.before[area][offset / 2]
    }

    /// In which order the chains of a batch are used.
    fn order(&self) -> [usize; 3] {
        if self.queue.in_order { IN_ORDER } else { ORDER }
    }

    /// The chain that the driver takes back next.
    pub fn next(&self) -> &Taken {
        &self.taken[self.order()[self.returned]]
    }

    /// The one behind it.
    pub fn behind(&self) -> &Taken {
        &self.taken[self.order()[self.returned + 1]]
    }

    /// Those whose tables are there as long as the attack: the driver frees
    /// them when the chain comes back. The first one has a table if any has.
    pub fn kept(&self) -> impl Iterator<Item = &Taken> {
        let back = if self.lasting {
            ORDER.len()
        } else {
            self.returned
        };
        let kept = self.order().into_iter().chain([UNUSED]).skip(back);
        kept.map(|i| &self.taken[i])
    }

    /// One that the device keeps.
    pub fn unused(&self) -> &Taken {
        &self.taken[UNUSED]
    }

    pub fn add_batch(&mut self) -> Checked<()> {
        for entries in self.queue.batch() {
            self.driver.add(entries)?;
        }
        Ok(())
    }

    /// The device takes a batch, and looks at each byte of it.
    pub fn take_batch(&mut self) {
        self.taken.clear();
        let first = self.driver.pair.added - self.queue.batch().len() as u64;
        for serial in first..self.driver.pair.added {
            let at = self.driver.pair.device.next_available();
            let chain = self.driver.pair.take();
            let head = self.ring.head(at);
            let slots = self.slots(head, chain.descriptors);
            // SAFETY: the driver says that there is a table as long as the chain is in
            // flight; `kept`.
            let table = |(address, length)| unsafe { Area::new(address, length as usize) };
            self.taken.push(Taken {
                token: serial as usize + 1,
                chain,
                slots,
                table: self.ring.descriptor(head).table().map(table),
            });
        }
    }

    /// The descriptors of a chain.
    fn slots(&self, head: u16, descriptors: u16) -> Vec<u16> {
        let next = |&i: &u16| match self.ring.packed {
            true => Some((i + 1) % self.size()),
            false => Some(self.ring.descriptor(i).tag()),
        };
        iter::successors(Some(head), next)
            .take(descriptors.into())
            .collect()
    }

    /// The device uses the chains in `ORDER`, and tells the driver of all; in order, with
    /// one entry.
    pub fn use_batch(&mut self) {
        self.returned = 0;
        if self.queue.in_order {
            let chains = IN_ORDER.map(|i| self.taken[i].chain);
            self.driver.pair.device.give_batch(&chains, 5);
            return;
        }
        for i in ORDER {
            self.driver.pair.device.give(self.taken[i].chain, 5);
        }
    }

    pub fn is_in_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// The attack came while the driver opened its batch: until that ends, nobody knows
    /// what it read. That the oldest buffer comes first is still seen.
    pub fn forget_batch(&mut self) {
        self.unsure = self.queue.in_order;
    }

    /// The driver takes back the next one.
    pub fn get_next(&mut self) -> Checked<()> {
        let token = self.next().token;
        self.get_expected(token)?;
        self.returned += 1;
        Ok(())
    }

    /// The driver takes back the next buffer that the device says it has used:
    /// the one whose id is there, and its length.
    pub fn get(&mut self) -> Checked<Option<usize>> {
        let used = self.ring.used(self.driver.position());
        let announced = self.ring.announced(self.driver.position());
        let oldest = self.driver.oldest();
        let Some((token, got)) = self.driver.get()? else {
            if self.batch.is_some() && !self.driver.is_broken() {
                return leak("get_buf: NULL within a batch".into());
            }
            (self.batch, self.unsure) = (None, false);
            return Ok(None);
        };
        if self.unsure {
            return Ok(Some(token));
        }
        if self.queue.in_order {
            let announced = (!self.ring.packed).then_some(announced);
            self.check_batch(oldest, token, got, used, announced)?;
            return Ok(Some(token));
        }
        let Some(Used { id, length }) = used else {
            return corruption(format!("get_buf: token {token}, and nothing was used"));
        };
        let of_token = self.taken.iter().find(|taken| taken.token == token);
        let known = of_token.map(|taken| u32::from(taken.chain.id));
        if known != Some(id) || got != length {
            return corruption(format!(
                "get_buf: token {token}, whose id is {known:?}, {got} bytes; \
                 the device wrote {id}, {length} bytes"
            ));
        }
        Ok(Some(token))
    }

    /// In order: did the device use a token that came, `got` bytes long, which has to be
    /// the oldest one? `entry` is what it wrote for a batch, if none is open.
    fn check_batch(
        &mut self,
        oldest: Option<usize>,
        token: usize,
        got: u32,
        entry: Option<Used>,
        announced: Option<u16>,
    ) -> Checked<()> {
        let oldest = oldest.unwrap_or(token);
        let opened = || {
            let Used { id, length } = entry?;
            let in_flight = |t: &&Taken| t.token >= oldest && u32::from(t.chain.id) == id;
            let last = self.taken.iter().find(in_flight)?.token;
            let fits = announced.is_none_or(|n| last - oldest < usize::from(n));
            fits.then_some((last, length))
        };
        let Some((last, length)) = self.batch.or_else(opened) else {
            return corruption(format!(
                "get_buf: token {token}, the device wrote {entry:x?}"
            ));
        };
        let batch = self.queue.batch();
        let expected = if token == last {
            length
        } else {
            Driver::writable(token, batch[(token - 1) % batch.len()])
        };
        if got != expected {
            return corruption(format!("get_buf: {got} bytes, {expected} expected"));
        }
        self.batch = (token != last).then_some((last, length));
        Ok(())
    }

    fn get_expected(&mut self, token: usize) -> Checked<()> {
        match self.get()? {
            Some(got) if got == token => Ok(()),
            got => corruption(format!("get_buf: token {token} was used, {got:?} came")),
        }
    }

    /// Uses a chain where the driver looks, as it should be done. The driver
    /// has to take it back, or nothing more if it is broken.
    pub fn mend(&mut self, i: usize) -> Checked<()> {
        let Taken { token, chain, .. } = self.taken[i];
        if !self.driver.is_in_flight(token) {
            return Ok(());
        }
        self.driver.pair.device.resume_at(self.driver.position());
        self.driver.pair.device.give(chain, 5);
        if self.driver.is_broken() {
            // The driver's own check: a token is a fault.
            self.driver.get()?;
            return Ok(());
        }
        self.get_expected(token)
    }

    /// A whole batch to the device and back.
    pub fn pass_batch(&mut self) -> Checked<()> {
        self.add_batch()?;
        if self.driver.is_broken() {
            return Ok(());
        }
        self.take_batch();
        let order = if self.queue.in_order {
            [0, 1, 2, 3]
        } else {
            [2, 0, 3, 1]
        };
        for i in order {
            self.mend(i)?;
        }
        Ok(())
    }

    /// The chain that was added last, as the device would find it; for a device
    /// that can't trust what it reads, as it is lying to itself.
    pub fn peek(&self, descriptors: u16) -> Chain {
        let at = match self.ring.packed {
            true => self.driver.added_descriptors() - u64::from(descriptors),
            false => self.driver.pair.added - 1,
        };
        let id = self.ring.id(self.ring.head(at));
        Chain {
            id,
            descriptors,
            writable: true,
        }
    }
}
