// SPDX-License-Identifier: GPL-2.0-or-later
//! The exported functions against a device that writes what it likes, where it
//! likes, in an order that a fuzzer finds. After each call the harness looks
//! at what it knows from its own record:
//!
//! * a token comes back once for each time it was added, while it is in flight,
//!   with its context;
//! * `num_free` is what the buffers in flight leave, and the driver's position
//!   what was added, whatever the device says;
//! * add, reset, resize and `virtqueue_use_wrap_counter` answer what they must;
//! * while nobody writes beside the calls: get_buf gives exactly what the ring
//!   says, or breaks the queue over it, and polling tells the truth;
//! * a broken queue adds and gives back nothing, and can be emptied;
//! * nothing is left when the queue is deleted (LeakSanitizer), nothing is
//!   touched that is not the queue's (AddressSanitizer), no call hangs
//!   (libFuzzer's time limit).

mod device;
mod flips;
mod plan;
mod queue;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use arbitrary::{Arbitrary, Unstructured};
use plan::{Setup, Step};
use queue::Queue;

/// When the device writes.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    /// Between calls.
    Calls,
    /// During calls, too.
    Race,
}

/// Runs one input. The library has to be one of a kernel that has in-order rings
/// (VIRTIO_RING_ABI=mainline).
pub fn run(input: &[u8], mode: Mode) {
    let mut input = Unstructured::new(input);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let Some(mut queue) = Queue::new(setup, mode) else {
        return;
    };
    let Ok(steps) = input.arbitrary_iter::<Step>() else {
        return;
    };
    for step in steps.map_while(Result::ok) {
        queue.step(step);
    }
    queue.finish();
}

/// The library's lines go to stderr, which `-close_fd_mask=2` closes as soon as
/// this is done; a panic is still told.
pub fn begin() {
    let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() else {
        return;
    };
    let stderr = File::from(stderr);
    std::panic::set_hook(Box::new(move |panic| {
        let _ = writeln!(&stderr, "{panic}");
        std::process::abort();
    }));
}
