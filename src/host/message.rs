// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines on stderr: one `write` each, so that threads don't mix them.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Display, Write};

/// Longest line; what does not fit is cut off.
const LENGTH: usize = 256;

struct Line {
    text: [u8; LENGTH],
    used: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // One byte stays free for the end of the line.
        let room = &mut self.text[self.used..LENGTH - 1];
        let fits = s.len().min(room.len());
        for (to, &from) in room.iter_mut().zip(s.as_bytes()) {
            // One line, whatever a queue's name or a panic's text has in it.
            *to = if from < b' ' { b' ' } else { from };
        }
        self.used += fits;
        Ok(())
    }
}

/// Writes a line to stderr.
#[cold]
#[inline(never)]
pub fn line(text: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; LENGTH],
        used: 0,
    };
    // The line takes what fits, so this can't fail.
    let _ = line.write_fmt(text);
    line.text[line.used] = b'\n';
    // SAFETY: the buffer has `used` + 1 bytes. Nobody is left to tell of an
    // error.
    unsafe {
        libc::write(
            libc::STDERR_FILENO,
            line.text.as_ptr().cast(),
            line.used + 1,
        )
    };
}

/// A queue's name as the program gave it.
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
        // SAFETY: `new`.
        let name = unsafe { CStr::from_ptr(self.0) };
        for chunk in name.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
        }
        Ok(())
    }
}
