// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines on stderr: one `write` each, so that threads don't mix them, and not
//! more of them than somebody can read.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Display, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::milliseconds;

/// Longest line; what does not fit is cut off.
const LENGTH: usize = 256;

/// As much of a queue's name as a line takes.
const NAME_LENGTH: usize = 96;

/// A text as it is. (A `str` in a format can be padded, too, which takes 2 KB of
/// code.)
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

struct Line {
    text: [u8; LENGTH],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // One byte stays free for the end of the line.
        let room = self.text.get_mut(self.used..LENGTH - 1).unwrap_or_default();
        let fits = s.len().min(room.len());
        for (to, &from) in room.iter_mut().zip(s.as_bytes()) {
            // One line, whatever a queue's name or a panic's text has in it.
            *to = if from < b' ' { b' ' } else { from };
        }
        self.used += fits;
        Ok(())
    }
}

/// A program that makes the same mistake for ever, or a device that is repaired
/// whenever it breaks a queue, must not fill a disk: no more than so many lines
/// (`LINES`) of all queues together within so many milliseconds (`PERIOD`).
const LINES: u64 = 10;
const PERIOD: u64 = 5_000;

/// When the present period began, shifted left by 8, and how many lines it has
/// had: one number, so that no thread sees one without the other.
static PERIOD_NOW: AtomicU64 = AtomicU64::new(0);

/// Suppressed lines that no line has reported yet.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

fn is_one_too_many() -> bool {
    let now = milliseconds();
    PERIOD_NOW
        .fetch_update(Relaxed, Relaxed, |period| {
            let (began, lines) = (period >> 8, period & 0xff);
            if now.saturating_sub(began) >= PERIOD {
                Some(now << 8 | 1)
            } else {
                (lines < LINES).then_some(period + 1)
            }
        })
        .is_err()
}

/// Writes a line to stderr, unless there were too many lately. The next one
/// that is written has one before it that says how many were left out.
#[cold]
#[inline(never)]
pub fn log(text: fmt::Arguments<'_>) {
    if is_one_too_many() {
        LEFT_OUT.fetch_add(1, Relaxed);
        return;
    }
    match LEFT_OUT.swap(0, Relaxed) {
        0 => {}
        lines => log_always(format_args!("virtio_ring: lines left out: {lines}")),
    }
    log_always(text);
}

/// Writes a line to stderr, however many there were.
#[cold]
#[inline(never)]
pub fn log_always(text: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; LENGTH],
        used: 0,
    };
    // The line takes what fits, so this can't fail.
    let _ = line.write_fmt(text);
    if let Some(end) = line.text.get_mut(line.used) {
        *end = b'\n';
        line.used += 1;
    }
    // SAFETY: the buffer has `used` bytes. Nobody is left to tell of an error.
    unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.used) };
}

/// A queue's name as the program gave it; of a long one the start, so that there is
/// room on the line for what happened.
pub struct QueueName(*const c_char);

impl QueueName {
    /// # Safety
    /// `name` is NULL or a string that outlives the value.
    pub unsafe fn new(name: *const c_char) -> Self {
        Self(name)
    }
}

impl Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_null() {
            return f.write_str("(null)");
        }
        // SAFETY: program's arguments (`new`).
        let name = unsafe { CStr::from_ptr(self.0) }.to_bytes();
        let start = name.get(..NAME_LENGTH).unwrap_or(name);
        for chunk in start.utf8_chunks() {
            f.write_str(chunk.valid())?;
        }
        if start.len() < name.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}
