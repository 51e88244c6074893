// SPDX-License-Identifier: GPL-2.0-or-later
//! The device writes during calls, too.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::begin(), |input: &[u8]| fuzz::run(input, fuzz::Mode::Race));
