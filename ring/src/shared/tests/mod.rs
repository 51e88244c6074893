// SPDX-License-Identifier: GPL-2.0-or-later
//! The bytes that a device finds, written out by hand. (Rings at work over
//! them, with either barriers: `tests/carry`.)

mod bytes;
mod layout;
