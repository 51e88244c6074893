// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines on stderr. Each is one `write`, so that the lines of several threads don't
//! mix, and their rate is limited.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Display, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::milliseconds;

/// The maximum length of a line, which is truncated if it is longer.
const LENGTH: usize = 256;

/// The maximum length of a queue's name in a line.
const NAME_LENGTH: usize = 96;

/// Displays a text without padding. (The code that pads a `str` has 2 KB.)
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
        // One byte is reserved for the newline.
        let room = self.text.get_mut(self.used..LENGTH - 1).unwrap_or_default();
        let fits = s.len().min(room.len());
        for (to, &from) in room.iter_mut().zip(s.as_bytes()) {
            // Keeps the message on one line, even if a queue's name or a panic's text
            // contains control characters.
            *to = if from < b' ' { b' ' } else { from };
        }
        self.used += fits;
        Ok(())
    }
}

/// Rate limit: at most `LINES` lines, of all queues together, in `PERIOD` milliseconds.
/// A program that repeats a mistake for ever must not fill a disk, nor must one that
/// repairs its queue each time the device breaks it.
const LINES: u64 = 10;
const PERIOD: u64 = 5_000;

/// When the current period began, shifted left by 8, plus the number of lines in it.
/// Both are in one number so that a thread always reads them together.
static PERIOD_NOW: AtomicU64 = AtomicU64::new(0);

/// The number of suppressed lines that have not been reported yet.
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

/// Writes a line to stderr, subject to the rate limit. After lines were suppressed, the
/// next one is preceded by a line with their number.
#[cold]
#[inline(never)]
pub fn log(text: fmt::Arguments<'_>) {
    if is_one_too_many() {
        LEFT_OUT.fetch_add(1, Relaxed);
        return;
    }
    match LEFT_OUT.swap(0, Relaxed) {
        0 => {}
        lines => log_always(format_args!("virtio_ring: messages suppressed: {lines}")),
    }
    log_always(text);
}

/// Writes a line to stderr, regardless of the rate limit.
#[cold]
#[inline(never)]
pub fn log_always(text: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; LENGTH],
        used: 0,
    };
    // This can't fail, because a line that is too long is truncated.
    let _ = line.write_fmt(text);
    if let Some(end) = line.text.get_mut(line.used) {
        *end = b'\n';
        line.used += 1;
    }
    // An error is ignored, because there is no other place to report it.
    // SAFETY: `text` has at least `used` bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.used) };
}

/// A queue's name, as given by the program. A long name is truncated, to leave room for
/// the rest of the message.
pub struct QueueName(*const c_char);

impl QueueName {
    /// # Safety
    /// Program's arguments: `name` is NULL or a C string that outlives the value.
    pub unsafe fn new(name: *const c_char) -> Self {
        Self(name)
    }
}

impl Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_null() {
            return f.write_str("(null)");
        }
        // SAFETY: program's arguments: `new` requires a C string that is valid now.
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
