// SPDX-License-Identifier: GPL-2.0-or-later
//! What the test programs share: a device of their own ([`device`]), written
//! from the specification and not from `src/`; a driver that goes through the
//! exported C functions ([`host`]); buffers that say what they are
//! ([`pattern`]).

// Each test program uses a part of it.
#![allow(dead_code)]

pub mod bell;
pub mod host;
