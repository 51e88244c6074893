// SPDX-License-Identifier: GPL-2.0-or-later
//! The bytes that a device finds, written out by hand, in both byte orders;
//! and rings of every kind at work over them.

mod bytes;
mod carry;
mod layout;
