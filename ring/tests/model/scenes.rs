// SPDX-License-Identifier: GPL-2.0-or-later
//! The scenes: who does what at the same time, and what must never come out.
//! The device's part is played by the first thread.

use std::ptr::null_mut;
use std::sync::Arc;

use loom::thread;
use virtio_ring_protocol::{Common, Element, Elements, Listed, Released, Request, Ring};

use super::device::{Device, ask_and_look, queue, take, use_buffer};

/// Which kind of poll token a scene uses.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    /// 32 bits, wraps not counted: C's.
    Uncounted,
    /// 32 bits, wraps counted.
    Counted,
    /// 64 bits.
    Wide,
}

/// A token that was handed out.
#[derive(Clone, Copy)]
enum Held {
    Narrow(u32),
    Wide(u64),
}

fn prepare<D: Device>(ring: &mut D::Ring, common: &Common<D>, token: Token) -> Held {
    ring.enable_cb_prepare(common);
    match token {
        Token::Uncounted | Token::Counted => Held::Narrow(D::Ring::token_now(common)),
        Token::Wide => Held::Wide(D::Ring::token64_now(common)),
    }
}

fn poll<D: Device>(common: &Common<D>, held: Held) -> bool {
    match held {
        Held::Narrow(token) => D::Ring::poll(common, token),
        Held::Wide(token) => D::Ring::poll64(common, token),
    }
}

/// Buffer `n`: its elements' length tells the device which one it is.
fn request(n: u16, entries: u32) -> Request<impl Elements> {
    let element = Element {
        address: 0x1000,
        length: 100 + u32::from(n),
        device_writes: true,
    };
    let data = std::ptr::NonNull::new(std::ptr::without_provenance_mut(usize::from(n) + 1));
    Request {
        elements: Listed((0..entries).map(move |_| Ok(element))),
        entries,
        data: data.unwrap(),
        ctx: null_mut(),
    }
}

fn add<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16) {
    assert!(ring.add_direct_fast(common, &request(n, 1), None).is_ok());
}

/// Adds buffers from `n` on, up to `most`, as one batch. Returns how many.
fn add_batch<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16, most: u16) -> u16 {
    let mut numbers = n..n + most;
    let mut batch = D::Ring::begin_batch(common);
    let added = ring.add_ones(common, &mut batch, u32::from(most), || {
        let request = request(numbers.next()?, 1);
        let mut only = None;
        let each = request.elements.each(|element, _| {
            only = Some(element);
            Ok(())
        });
        each.ok()?;
        Some((only?, request.data))
    });
    ring.publish_batch(common, batch);
    added as u16
}

/// Takes the next used buffer, if there is one, and finds `n` in it.
fn get<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16) -> bool {
    let mut length = 0;
    let Some((_, taken)) = ring.get_buf(common, |used, _| {
        length = used.length;
        true
    }) else {
        return false;
    };
    let Ok(Released::Single(token, _)) = taken else {
        panic!("a used entry is bad, or a buffer has more than one descriptor");
    };
    assert_eq!(token.addr().get(), usize::from(n) + 1, "wrong buffer");
    assert_eq!(length, u32::from(n) + 1, "wrong length");
    true
}

/// Takes the next used buffer, which is within a batch, and finds `n` in it: its length
/// is what the device could write.
fn get_within<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16) {
    let within = ring.get_buf_in_batch(common, |_, _| true);
    let data = within.map(|(data, _)| data).or_else(|| {
        let (_, taken) = ring.get_buf(common, |used, _| used.length == 100 + u32::from(n))?;
        let Ok(Released::Single(data, _)) = taken else {
            panic!("a used entry is bad, or a buffer has more than one descriptor");
        };
        Some(data)
    });
    let data = data.expect("a used buffer is gone");
    assert_eq!(data.addr().get(), usize::from(n) + 1, "wrong buffer");
}

/// Adds `count` buffers from `n` on, and the device uses them with one entry.
fn add_and_use_batch<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16, count: u16) {
    let mut id = 0;
    for n in n..n + count {
        add(ring, common, n);
        id = read(common.memory(), n);
    }
    common.memory().mark_batch_used(n, count, id);
}

/// Reads buffer `n`, which was just seen to be available: its id.
fn read<D: Device>(memory: &D, n: u16) -> u16 {
    let (id, length) = take(memory, n).expect("an available buffer is gone");
    assert_eq!(length, 100 + u32::from(n), "an old descriptor");
    id
}

/// Takes buffer `n` and uses it; the answer is whether the device interrupts.
fn serve<D: Device>(common: &Common<D>, n: u16, event_idx: bool) -> bool {
    let id = read(common.memory(), n);
    use_buffer(common.memory(), n, id, event_idx)
}

/// Another thread with the same queue.
fn beside<D: Device, T: 'static>(
    common: &Arc<Common<D>>,
    what: impl FnOnce(&Arc<Common<D>>) -> T + 'static,
) -> thread::JoinHandle<T> {
    let common = common.clone();
    thread::spawn(move || what(&common))
}

/// A poller with a token from before a buffer was used, beside the drainer: it must be
/// told.
fn poll_beside<D: Device>(
    common: &Arc<Common<D>>,
    held: Held,
    drainer: impl FnOnce(&Arc<Common<D>>) + 'static,
) {
    let drainer = beside(common, drainer);
    let told = poll(common, held);
    drainer.join().unwrap();
    assert!(told, "a used buffer was missed");
}

/// A queue for a scene that plays after `before` buffers went there and back, so in another
/// slot or lap; with tokens of this kind.
fn queue_after<D: Device>(
    before: u16,
    size: u16,
    event_idx: bool,
    token: Token,
) -> (Arc<Common<D>>, D::Ring) {
    let (common, mut ring) = queue::<D>(size, event_idx);
    if matches!(token, Token::Counted) {
        common.use_wrap_counters();
    }
    for n in 0..before {
        add(&mut ring, &common, n);
        serve(&common, n, event_idx);
        assert!(get(&mut ring, &common, n));
        ring.kick_prepare(&common);
    }
    (common, ring)
}

/// The same with a buffer that is used, and a token from before that.
fn used_after<D: Device>(
    before: u16,
    size: u16,
    event_idx: bool,
    token: Token,
) -> (Arc<Common<D>>, D::Ring, Held) {
    let (common, mut ring) = queue_after::<D>(before, size, event_idx, token);
    add(&mut ring, &common, before);
    let held = prepare(&mut ring, &common, token);
    serve(&common, before, event_idx);
    (common, ring, held)
}

/// The device uses buffer `n` beside a thread that looks for it: if that finds nothing, it
/// must be interrupted.
fn use_beside<D: Device>(
    common: &Arc<Common<D>>,
    n: u16,
    event_idx: bool,
    who: &str,
    look: impl FnOnce(&Arc<Common<D>>) -> bool + 'static,
) {
    let id = read(common.memory(), n);
    let looking = beside(common, look);
    let interrupted = use_buffer(common.memory(), n, id, event_idx);
    let found = looking.join().unwrap();
    assert!(found || interrupted, "the {who} sleeps for ever");
}

/// Add and publish against the device's notification check: the driver adds a
/// buffer and asks whether to kick, while the device asks to be kicked and
/// looks at the ring once more before it sleeps. One of the two must notice.
/// A buffer that the device sees must be complete.
pub fn lost_kick<D: Device>(size: u16, before: u16, event_idx: bool) {
    let (common, mut ring) = queue_after::<D>(before, size, event_idx, Token::Wide);
    common.memory().refuse_kicks();
    let driver = beside(&common, move |common| {
        add(&mut ring, common, before);
        ring.kick_prepare(common)
    });
    let seen = ask_and_look(common.memory(), before, event_idx);
    if seen {
        read(common.memory(), before);
    }
    let kicked = driver.join().unwrap();
    assert!(seen || kicked, "the device sleeps for ever");
}

/// Used and event against prepare and poll: the device uses a buffer and looks
/// at the event, while the driver asks for interrupts and another of its
/// threads polls. Who is told "nothing new" must be interrupted.
pub fn lost_wakeup<D: Device>(size: u16, before: u16, event_idx: bool, token: Token) {
    let (common, mut ring) = queue_after::<D>(before, size, event_idx, token);
    D::Ring::disable_cb(&common);
    add(&mut ring, &common, before);
    use_beside(&common, before, event_idx, "poller", move |common| {
        let held = prepare(&mut ring, common, token);
        let poller = beside(common, move |common| poll(common, held));
        poller.join().unwrap()
    });
}

/// The same with enable_cb_delayed, which looks at the ring itself; with one
/// buffer in flight it waits for that.
pub fn lost_wakeup_delayed<D: Device>(size: u16, before: u16, event_idx: bool) {
    let (common, mut ring) = queue_after::<D>(before, size, event_idx, Token::Wide);
    D::Ring::disable_cb(&common);
    add(&mut ring, &common, before);
    use_beside(&common, before, event_idx, "driver", move |common| {
        !ring.enable_cb_delayed(common)
    });
}

/// Takes the next two buffers, of which the first is used, with one call or with one each.
/// Returns whether the second was used, too.
fn drain_two<D: Device>(ring: &mut D::Ring, common: &Common<D>, n: u16, at_once: bool) -> bool {
    if !at_once {
        assert!(get(ring, common, n));
        return get(ring, common, n + 1);
    }
    let mut next = usize::from(n) + 1;
    // More than there are, as a driver does to take all of them.
    let (taken, bad) = ring.get_bufs(common, 3, |data, _, _| {
        assert_eq!(data.addr().get(), next, "wrong buffer");
        next += 1;
    });
    assert!(taken >= 1 && bad.is_none());
    taken == 2
}

/// The device uses a second buffer and looks at the event, while the driver
/// takes the first and finds no second one. It needs no prepare then: to take
/// a buffer is to ask for an interrupt at the next.
pub fn lost_wakeup_of_drainer<D: Device>(size: u16, before: u16, at_once: bool) {
    let (common, mut ring) = queue_after::<D>(before, size, true, Token::Wide);
    // A packed ring starts without event index.
    D::Ring::disable_cb(&common);
    ring.enable_cb_prepare(&common);
    let second = before + 1;
    add(&mut ring, &common, before);
    add(&mut ring, &common, second);
    serve(&common, before, true);
    use_beside(&common, second, true, "drainer", move |common| {
        drain_two(&mut ring, common, before, at_once)
    });
}

/// disable_cb, which drivers call from the interrupt without the lock, beside
/// enable_cb: whoever was first, the next enable_cb is not undone by what came
/// before it, and to take a buffer is to ask for an interrupt at the next.
pub fn enabled_after_disable_beside<D: Device>(before: u16) {
    let (common, mut ring) = queue_after::<D>(before, 2, true, Token::Wide);
    D::Ring::disable_cb(&common);
    ring.enable_cb_prepare(&common);
    let callback = beside(&common, move |common| D::Ring::disable_cb(common));
    ring.enable_cb_prepare(&common);
    callback.join().unwrap();
    ring.enable_cb_prepare(&common);
    for n in [before, before + 1] {
        add(&mut ring, &common, n);
    }
    for n in [before, before + 1] {
        let interrupted = serve(&common, n, true);
        assert!(interrupted, "the driver sleeps for ever");
        assert!(get(&mut ring, &common, n));
    }
}

/// get_buf against poll: a buffer is used that the holder of the token has not
/// seen. The drainer takes it and adds the next in the same slot; the poller
/// must be told "something new" all the same.
pub fn taken_and_added_again<D: Device>(before: u16, token: Token) {
    let (common, mut ring, held) = used_after::<D>(before, 1, true, token);
    poll_beside(&common, held, move |common| {
        assert!(get(&mut ring, common, before));
        add(&mut ring, common, before + 1);
    });
}

/// The same on a ring of two, with both slots filled at once: by a chain, whose second
/// descriptor may be in that slot, or by a batch of two buffers.
pub fn taken_and_filled<D: Device>(before: u16, token: Token, batch: bool) {
    let (common, mut ring, held) = used_after::<D>(before, 2, false, token);
    poll_beside(&common, held, move |common| {
        assert!(get(&mut ring, common, before));
        if batch {
            assert_eq!(add_batch(&mut ring, common, before + 1, 2), 2);
        } else {
            assert!(ring.add(common, &request(before + 1, 2)).is_ok());
        }
    });
}

/// The same over the end of a lap of two: the first slot is available again
/// before the second buffer is taken, and the position goes back to that slot,
/// one lap on. Not even for a moment may it be that of the token.
pub fn taken_over_the_end<D: Device>(laps: u16, token: Token) {
    let first = 2 * laps;
    let (common, mut ring) = queue_after::<D>(first, 2, false, token);
    let held = prepare(&mut ring, &common, token);
    for n in [first, first + 1] {
        add(&mut ring, &common, n);
    }
    for n in [first, first + 1] {
        serve(&common, n, false);
    }
    poll_beside(&common, held, move |common| {
        assert!(get(&mut ring, common, first));
        add(&mut ring, common, first + 2);
        assert!(get(&mut ring, common, first + 1));
    });
}

/// The same with the device at work, too: it uses the buffer that was added
/// again, so that the slot goes through all its states under the poller's
/// eyes.
pub fn taken_and_used_again<D: Device>(token: Token) {
    let (common, mut ring, held) = used_after::<D>(0, 1, true, token);
    let drainer = beside(&common, move |common| {
        assert!(get(&mut ring, common, 0));
        add(&mut ring, common, 1);
    });
    let poller = beside(&common, move |common| poll(common, held));
    if let Some((id, length)) = take(common.memory(), 1) {
        assert_eq!(length, 101, "an old descriptor");
        use_buffer(common.memory(), 1, id, true);
    }
    let told = poller.join().unwrap();
    drainer.join().unwrap();
    assert!(told, "a used buffer was missed");
}

/// Around the end of the ring: `count` buffers go through it, the driver
/// adding whenever there is room and both sides taking what they see. Each
/// must see the other's entries complete, in order, in every lap.
pub fn around<D: Device>(size: u16, count: u16, event_idx: bool, batch: u16) {
    let (common, mut ring) = queue::<D>(size, event_idx);
    let driver = beside(&common, move |common| {
        let (mut added, mut taken) = (0, 0);
        while taken < count {
            let most = batch.min(count - added);
            added += add_batch(&mut ring, common, added, most);
            let (got, bad) = ring.get_bufs(common, batch.into(), |data, length, _| {
                assert_eq!(data.addr().get(), usize::from(taken) + 1, "wrong buffer");
                assert_eq!(length, u32::from(taken) + 1, "wrong length");
                taken += 1;
            });
            assert!(bad.is_none());
            if got == 0 {
                thread::yield_now();
            }
        }
    });
    let mut n = 0;
    while n < count {
        match take(common.memory(), n) {
            Some((id, length)) => {
                assert_eq!(length, 100 + u32::from(n), "an old descriptor");
                common.memory().mark_used(n, id);
                n += 1;
            }
            None => thread::yield_now(),
        }
    }
    driver.join().unwrap();
}

/// vring_interrupt against get_buf: the interrupt of a used buffer, while the
/// drainer may take it already. Whoever comes first must find it: if the
/// interrupt finds nothing, the drainer has it.
pub fn interrupt_and_drainer<D: Device>(before: u16, event_idx: bool) {
    let (common, mut ring) = queue_after::<D>(before, 1, event_idx, Token::Wide);
    add(&mut ring, &common, before);
    let id = read(common.memory(), before);
    let drainer = beside(&common, move |common| {
        let taken = get(&mut ring, common, before);
        // What the callback may be doing at the same time.
        D::Ring::disable_cb(common);
        let held = prepare(&mut ring, common, Token::Wide);
        taken || poll(common, held)
    });
    use_buffer(common.memory(), before, id, event_idx);
    let found = D::Ring::more_used(&common);
    if found {
        common.interrupted();
    }
    let taken = drainer.join().unwrap();
    assert!(found || taken, "the interrupt was for nobody");
}

/// vring_interrupt against get_buf, the other way round: an interrupt that is
/// not for this queue comes when it is known that the only buffer has been
/// taken. It must find nothing, however little else the thread has seen.
pub fn interrupt_of_others<D: Device>() {
    let (common, mut ring) = queue::<D>(1, false);
    let interrupt = beside(&common, move |common| {
        let taken = D::Ring::token64_now(common) != D::Ring::START;
        (taken, D::Ring::more_used(common))
    });
    add(&mut ring, &common, 0);
    serve(&common, 0, false);
    assert!(get(&mut ring, &common, 0));
    let (taken, found) = interrupt.join().unwrap();
    assert!(!(taken && found), "a buffer was found where none is");
}

/// vring_interrupt against get_buf and add: two buffers are used; while the
/// interrupt looks, the drainer takes the first and adds another in its place.
/// The second is still waiting, so the interrupt must find something.
pub fn interrupt_behind_drainer<D: Device>() {
    let (common, mut ring) = queue::<D>(2, false);
    for n in 0..2 {
        add(&mut ring, &common, n);
    }
    for n in 0..2 {
        serve(&common, n, false);
    }
    let drainer = beside(&common, move |common| {
        assert!(get(&mut ring, common, 0), "a used buffer is gone");
        add(&mut ring, common, 2);
    });
    let found = D::Ring::more_used(&common);
    drainer.join().unwrap();
    assert!(found, "the interrupt was for nobody");
}

/// Reset against poll: a buffer is used that the holder of the token has not
/// seen, and never will: the queue is reset. Before, during and after, the
/// poller must be told "something new".
pub fn reset_and_poller<D: Device>(before: u16, token: Token) {
    let (common, mut ring, held) = used_after::<D>(before, 1, false, token);
    assert!(ring.detach_unused_buf(&common).is_some());
    let poller = beside(&common, move |common| poll(common, held));
    ring.restart(&common, true);
    let told = poller.join().unwrap();
    assert!(told, "a used buffer was missed");
    assert!(poll(&common, held), "a token from before the reset is good");
}

/// In order, poll within a batch: a token that was handed out when one buffer of a batch
/// was taken, and the drainer goes on. The rest of the batch is used, and in a packed
/// ring nothing but the driver's own position shows it: the poller must be told.
pub fn poll_within_batch<D: Device>(before: u16, token: Token) {
    let (common, mut ring) = queue_after::<D>(before, 2, false, token);
    add_and_use_batch(&mut ring, &common, before, 2);
    get_within(&mut ring, &common, before);
    let held = prepare(&mut ring, &common, token);
    poll_beside(&common, held, move |common| {
        assert!(get(&mut ring, common, before + 1));
        add(&mut ring, common, before + 2);
        add(&mut ring, common, before + 3);
    });
}

/// In order, the poller comes at any moment while a batch is opened and taken.
pub fn poll_beside_batch<D: Device>(before: u16, token: Token) {
    let (common, mut ring) = queue_after::<D>(before, 2, false, token);
    let held = prepare(&mut ring, &common, token);
    add_and_use_batch(&mut ring, &common, before, 2);
    poll_beside(&common, held, move |common| {
        get_within(&mut ring, common, before);
        add(&mut ring, common, before + 2);
        assert!(get(&mut ring, common, before + 1));
    });
}

/// In order, the device uses a third buffer and looks at the event, while the driver takes
/// the last one of a batch of two, which publishes the event, and finds no third one.
pub fn lost_wakeup_after_batch<D: Device>(before: u16, at_once: bool) {
    let (common, mut ring) = queue_after::<D>(before, 4, true, Token::Wide);
    D::Ring::disable_cb(&common);
    ring.enable_cb_prepare(&common);
    add_and_use_batch(&mut ring, &common, before, 2);
    let third = before + 2;
    add(&mut ring, &common, third);
    get_within(&mut ring, &common, before);
    use_beside(&common, third, true, "drainer", move |common| {
        drain_two(&mut ring, common, before + 1, at_once)
    });
}

/// In order, a reset within a batch beside a poller.
pub fn reset_within_batch<D: Device>(before: u16, token: Token) {
    let (common, mut ring) = queue_after::<D>(before, 2, false, token);
    let held = prepare(&mut ring, &common, token);
    add_and_use_batch(&mut ring, &common, before, 2);
    get_within(&mut ring, &common, before);
    let within = prepare(&mut ring, &common, token);
    let poller = beside(&common, move |common| {
        [held, within].map(|held| poll(common, held))
    });
    assert!(ring.detach_unused_buf(&common).is_some());
    ring.restart(&common, true);
    assert_eq!(
        poller.join().unwrap(),
        [true; 2],
        "a used buffer was missed"
    );
    assert!(!D::Ring::more_used(&common), "a batch outlives the reset");
    assert!(
        poll(&common, held) && poll(&common, within),
        "an old token is good"
    );
    add_and_use_batch(&mut ring, &common, 0, 1);
    assert!(get(&mut ring, &common, 0));
}
